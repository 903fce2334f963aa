"""Units that are unusual on a token, of a text or of the corpus, against numpy over all activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.errors import ArgumentError
from hubel.tools.index import Index, build_index
from hubel.tools.instruments import InstrumentContext, activations_search, call
from hubel.tools.instruments.activations_search import Search
from hubel.tools.instruments.index_sites import describe_sites
from hubel.tools.subject import Site
from tests.support.tiny import WORDS, tiny_subject

TEXT = "a cat told the dog of the year 1999"


def searched(context: InstrumentContext, **arguments: Any) -> Search:
    result = call("activations.search", arguments, context)
    assert isinstance(result, Search)
    return result


def z_scores(naive: dict[Site, np.ndarray], at: dict[Site, np.ndarray]) -> dict[str, float]:
    """Of each side of each unit, from its activation at one place."""
    scores = {}
    for site, seen in naive.items():
        mean, spread = np.nanmean(seen, axis=(0, 1)), np.nanstd(seen, axis=(0, 1))
        for column, value in enumerate(at[site]):
            name = f"{site.kind}.{site.layer}.{column}"
            sides = ((1, "+"), (-1, "-")) if site.kind == "mlp" else ((1, ""),)
            for sign, side in sides:
                if sign * value > 0:
                    scores[name + side] = sign * (value - mean[column]) / spread[column]
    return scores


def check(result: Search, scores: dict[str, float]) -> None:
    best = sorted(scores, key=lambda unit: -scores[unit])[: len(result.hits)]
    assert [hit.unit for hit in result.hits] == best
    assert [hit.z for hit in result.hits] == pytest.approx([scores[u] for u in best], rel=1e-2)


def test_all_sites_of_the_index_are_searched_unless_some_are_chosen(
    indexed: InstrumentContext,
) -> None:
    assert searched(indexed, text=TEXT).n_units == 72 + 12
    assert searched(indexed, text=TEXT, sites=["mlp"]).n_units == 72
    chosen = searched(indexed, text=TEXT, sites=["head"], layers=[0, 1])
    assert "8 heads of 2 of the 3 layers on 8 tokens of the text" in chosen.render()


def test_one_token_of_a_text_is_looked_at(
    indexed: InstrumentContext, naive: dict[Site, np.ndarray]
) -> None:
    subject = indexed.require_subject()
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    captured = subject.capture(ids, list(naive)).activations
    result = searched(indexed, text=TEXT, token="dog", k=8)
    check(result, z_scores(naive, {site: captured[site][0, 4].numpy() for site in naive}))
    assert {(hit.position, hit.token) for hit in result.hits} == {(4, " dog")}
    last = searched(indexed, text=TEXT, token=" the")
    assert {hit.position for hit in last.hits} == {6}


@pytest.mark.parametrize("store", ["all", "none"])
@pytest.mark.parametrize("token", ["Monday", " Monday"])
def test_a_token_of_the_corpus_is_searched_by_its_mean(
    indexed: InstrumentContext,
    naive: dict[Site, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: Any,
    token: str,
) -> None:
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = [Document(f"d{i}", " ".join(draw.choice(words, 40))) for i in range(40)]
    subject = tiny_subject()
    corpus = corpus_from_documents("words", documents)
    build_index(subject, corpus, tmp_path / "i", context_len=16, store=store)
    context = InstrumentContext(subject, Index.open(tmp_path / "i"))
    contexts, strings = context.require_index().contexts("explore"), subject.token_strings()
    forms = {" Monday"} if token[0] == " " else {"Monday", " Monday"}
    is_place = np.isin(contexts.tokens, [i for i, s in enumerate(strings) if s in forms])
    is_place &= contexts.mask
    monkeypatch.setattr(activations_search, "MOST_PLACES_OF_A_PASS", 100)
    result = searched(context, token=token, k=8)
    check(result, z_scores(naive, {site: x[is_place].mean(axis=0) for site, x in naive.items()}))
    n = int(is_place.sum())
    origin = "a pass of the subject" if store == "none" else "the activation store"
    assert f"on {n} of the {n} places of ' Monday' in explore (from {origin})" in result.covers
    assert {hit.position for hit in result.hits} == {None}
    assert '" Monday" on average' in result.render()


def test_it_says_of_how_many_places_it_read(
    indexed: InstrumentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations_search, "MOST_PLACES_OF_A_PASS", 3)
    assert "on 3 of the " in searched(indexed, token="cat").covers


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "nothing to look at"),
        ({"token": "zebra"}, "is not one token but 5"),
        ({"token": " Ж"}, "is not one token|is not in the"),
        ({"text": TEXT, "token": "zebra"}, "'zebra' is not in the text"),
        ({"text": TEXT, "token": "a cat told the dog of the year 2000"}, "is not in the text"),
        ({"text": TEXT, "sites": []}, "sites: "),
        ({"token": "cat", "layers": [9]}, "no site of kind any and layer"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_hint(
    indexed: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        searched(indexed, **arguments)


def test_sites_of_different_layers_say_their_own(
    indexed: InstrumentContext,
) -> None:
    index = indexed.require_index()
    neurons = [Site("mlp", layer) for layer in range(3)]
    assert describe_sites(index, neurons) == "72 neurons of all 3 layers"
    both = [*neurons, *(Site("head", layer) for layer in range(3))]
    assert describe_sites(index, both) == "72 neurons and 12 heads of all 3 layers"
    some = [*neurons[:2], Site("head", 1)]
    assert describe_sites(index, some) == "48 neurons of 2 of the 3 layers, 4 heads of layer 1"
