"""Random latents fire as often as the latents that they replace, and read what those read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.dictionaries.random_latents import RandomLatentUnit, random_latents
from hubel.tools.errors import UsageError
from hubel.tools.index import Index, build_index
from hubel.tools.subject.address import Site
from hubel.tools.subject.attach_latents import attach_latents
from hubel.tools.subject.subject import Subject
from tests.support.dictionaries import AFTER_LAYER_1, ActivationName, random_dictionary
from tests.support.tiny import WORDS, tiny_subject

NAMES: tuple[ActivationName, ...] = ("relu", "topk", "jumprelu", "gated")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, Index]:
    """A subject with a dictionary of each activation, and an index of their latents."""
    subject, draw = tiny_subject(), np.random.default_rng(0)
    for seed, name in enumerate(NAMES):
        made = random_dictionary(subject, name, activation=name, threshold=0.5, seed=seed)
        attach_latents(subject, made)
    texts = [" ".join(draw.choice(WORDS.split(), 40)) for _ in range(60)]
    documents = [Document(f"d{i}", text) for i, text in enumerate(texts)]
    corpus = corpus_from_documents("made", documents, sha256="0" * 64)
    folder = tmp_path_factory.mktemp("index") / "i"
    build_index(subject, corpus, folder, sites=("sae",), context_len=16)
    return subject, Index.open(folder)


def stream(subject: Subject, index: Index) -> torch.Tensor:
    contexts = index.contexts("explore")
    ids = torch.from_numpy(contexts.tokens.astype(np.int64))
    vectors = subject.capture(ids, [AFTER_LAYER_1]).activations[AFTER_LAYER_1]
    return vectors[torch.from_numpy(contexts.mask)]


@pytest.mark.parametrize("name", NAMES)
def test_each_fires_as_often_as_the_latent_that_it_replaces(
    indexed: tuple[Subject, Index], name: str
) -> None:
    subject, index = indexed
    vectors, latents = stream(subject, index), subject.dictionaries[name]
    rates = index.site_statistics(Site.of_dictionary(name)).positive
    units = random_latents(subject, index, name, 8, seed=0)
    for unit in units:
        values = unit.values({AFTER_LAYER_1: vectors[None]}, torch.zeros(1, 1))[0].numpy()
        assert (values > 0).mean() == pytest.approx(rates[unit.replaces], abs=1e-3)
        assert values.min() == 0
        # the same by hand: a direction of the replaced latent's norm, less its mean on explore
        norm = latents.encoder[:, unit.replaces].norm()
        torch.testing.assert_close(unit.direction.norm(), norm)
        seen = latents.normalised(vectors)[0]
        product = ((seen - seen.mean(dim=0)) @ unit.direction).numpy()
        fires = values > 0
        expected = product - (unit.threshold if name == "relu" else min(unit.threshold, 0))
        np.testing.assert_allclose(values[fires], expected[fires], atol=1e-4)
        assert product[fires].min() >= product[~fires].max()
    assert len({unit.replaces for unit in units}) == 8
    more = random_latents(subject, index, name, 9, seed=0)
    assert [repr(unit) for unit in more[:8]] == [repr(unit) for unit in units]
    assert repr(random_latents(subject, index, name, 8, seed=1)) != repr(units)


def test_too_few_latents_that_fire(indexed: tuple[Subject, Index]) -> None:
    with pytest.raises(UsageError, match="latents of 'topk' fire on 20 tokens of explore; 400 are"):
        random_latents(*indexed, "topk", 400, seed=0)


def test_addresses_come_after_the_last_latent(indexed: tuple[Subject, Index]) -> None:
    units: list[RandomLatentUnit] = random_latents(*indexed, "relu", 2, seed=0)
    assert [str(unit.unit) for unit in units] == ["sae.relu.40", "sae.relu.41"]
