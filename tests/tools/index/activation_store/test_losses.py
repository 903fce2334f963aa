"""Losses and entropies are those of a whole softmax over all logits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus
from hubel.tools.index import Index, build_index
from hubel.tools.index.activation_store import losses
from hubel.tools.index.index import reader_of, store_of
from hubel.tools.subject.address import Site

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject


@pytest.mark.parametrize(("tokens", "vocabulary"), [(512, 2048), (5, 7)])
def test_parts_of_the_vocabulary_are_merged_exactly(
    tiny: Subject, monkeypatch: pytest.MonkeyPatch, tokens: int, vocabulary: int
) -> None:
    monkeypatch.setattr(losses, "TOKENS_AT_ONCE", tokens)
    monkeypatch.setattr(losses, "VOCABULARY_AT_ONCE", vocabulary)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, tiny.n_vocabulary, (2, 9), generator=generator)
    last = Site("stream", tiny.shape.n_layers - 1)
    capture = tiny.capture(ids, [last], logits=True)
    assert capture.logits is not None
    following = torch.roll(ids, -1, dims=1).reshape(-1)
    # Some logits far from the others, as a sharp prediction has.
    stream = capture.activations[last].flatten(0, 1)
    found = losses.losses_and_entropies(tiny, stream, following)
    log_p = torch.log_softmax(capture.logits.double().flatten(0, 1), dim=-1)
    loss = -log_p.gather(1, following[:, None])[:, 0]
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    np.testing.assert_allclose(found[:, 0], loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[:, 1], entropy, rtol=1e-5, atol=1e-5)


def test_a_sharp_prediction_does_not_overflow(
    tiny: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.full((1, tiny.n_vocabulary), -1000.0)
    logits[0, 3], logits[0, tiny.n_vocabulary - 1] = 500.0, 501.0
    monkeypatch.setattr(losses, "VOCABULARY_AT_ONCE", 5)
    monkeypatch.setattr(tiny, "final_vectors", lambda last: last)
    monkeypatch.setattr(tiny, "logits_of_final", lambda last, tokens: logits[:, tokens])
    found = losses.losses_and_entropies(tiny, torch.zeros(1, tiny.d_model), torch.tensor([3]))
    p = 1 / (1 + np.e)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    np.testing.assert_allclose(found[0], [-np.log(p), entropy], rtol=1e-5)


def test_the_store_has_the_losses_of_a_pass(tiny: Subject, corpus: Corpus, tmp_path: Path) -> None:
    build_index(tiny, corpus, tmp_path / "i", context_len=16, store="all")
    index = Index.open(tmp_path / "i")
    store, contexts = store_of(index, "explore"), reader_of(index, "explore").contexts()
    assert store is not None
    array = store.array("loss")
    assert array is not None
    for number in np.flatnonzero(contexts.length > 1)[:20]:
        length = int(contexts.length[number])
        ids = torch.from_numpy(contexts.tokens[[number], :length].astype(np.int64))
        logits = tiny.capture(ids, [], logits=True).logits
        assert logits is not None
        log_p = torch.log_softmax(logits[0], dim=-1)
        stored = store.read_contexts(array, np.array([number]), contexts.length[[number]])
        assert np.isnan(stored[0, 0])
        expected = -log_p[:-1].gather(1, ids[0, 1:, None])[:, 0]
        np.testing.assert_allclose(stored[1:, 0], expected, rtol=1e-4, atol=1e-5)
        entropy = -(log_p.exp() * log_p).sum(dim=-1)
        np.testing.assert_allclose(stored[:, 1], entropy, rtol=1e-4, atol=1e-5)
