"""Collected vectors against the model's own hidden states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.representation.collect import EMBEDDING, collect, site_name, stream_sites
from hubel.tools.subject.address import Site
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

TEXTS = ["the cat was", "a dog", "the cat was", "in the year 1999 the city of Monday said not very"]


@pytest.fixture(scope="module")
def tiny() -> Subject:
    return tiny_subject()


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_vectors_are_the_models_hidden_states(tiny: Subject, pooling: str) -> None:
    sites = stream_sites(3)
    vectors = collect(tiny, TEXTS, sites, pooling=pooling)  # pyright: ignore[reportArgumentType]
    assert vectors.shape == (4, 4, 16)
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([tiny.tokenize(text).ids])
        with torch.no_grad():
            states = tiny.model(ids, output_hidden_states=True).hidden_states
        for place in range(3):  # the last one of the library is normed
            state = states[place][0]
            expected = state[-1] if pooling == "last" else state[1:].mean(dim=0)
            np.testing.assert_allclose(vectors[place, number], expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(vectors[:, 0], vectors[:, 2])


def test_a_long_text_is_refused_or_read_from_its_end(tiny: Subject) -> None:
    site = [Site("stream", 1)]
    with pytest.raises(ArgumentError, match="1 of 3 texts have more than 4 tokens"):
        collect(tiny, TEXTS, site, max_tokens=4)
    kept = collect(tiny, TEXTS, site, max_tokens=2, too_long="keep end")
    alone = collect(tiny, [" not very"], site)
    np.testing.assert_allclose(kept[0, 3], alone[0, 0], atol=1e-5)


def test_the_embedding_alone_needs_no_layer(tiny: Subject) -> None:
    (vector,) = collect(tiny, ["the cat"], [EMBEDDING])[0]
    table = tiny.model.get_input_embeddings().weight
    np.testing.assert_array_equal(vector, table[tiny.tokenize("the cat").ids[-1]].numpy())


def test_sites_have_names() -> None:
    assert [site_name(site) for site in (EMBEDDING, Site("stream", 8), Site("mlp", 2))] == [
        "embedding",
        "resid.8",
        "mlp.2",
    ]


def test_no_text_and_no_layer_are_said(tiny: Subject) -> None:
    with pytest.raises(ArgumentError, match="no text given"):
        collect(tiny, [], [Site("stream", 0)])
    with pytest.raises(ArgumentError, match="layer 3 given"):
        collect(tiny, TEXTS, [Site("stream", 3)])
    with pytest.raises(ArgumentError, match="layer -1 given"):
        collect(tiny, TEXTS, [Site("mlp", -1)])
    with pytest.raises(UsageError, match="text 2 has no token"):
        collect(tiny, ["a", ""], [Site("stream", 0)])
