"""Vectors of a training: each token once an epoch, from a store or a pass, and without huge ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Document
from hubel.tools.corpus.documents import corpus_from_documents
from hubel.tools.dictionaries.train.parameters import geometric_median
from hubel.tools.dictionaries.train.settings import TrainSettings
from hubel.tools.dictionaries.train.vectors import (
    Text,
    Vectors,
    vectors_of_index,
    vectors_of_text,
)
from hubel.tools.index import Index, build_index
from hubel.tools.subject import Site
from tests.support.tiny import WORDS, tiny_subject

STREAM, MLP_IN, MLP_OUT = Site("stream", 1), Site("mlp_in", 1), Site("mlp_out", 1)


def _settings(reads: Site = STREAM, writes: Site | None = None) -> TrainSettings:
    return TrainSettings(reads, writes or reads, latents=32, k=4, tokens=640, batch=32)


def _text(contexts: int = 20) -> Text:
    rng = np.random.default_rng(0)
    length = rng.integers(1, 9, contexts)
    tokens = rng.integers(1, 300, (contexts, 8)) * (np.arange(8) < length[:, None])
    return Text(tokens.astype(np.int32), length.astype(np.uint16))


def _sorted_rows(vectors: torch.Tensor) -> torch.Tensor:
    return vectors[vectors[:, 0].argsort()]


def test_an_epoch_has_every_counted_token_once_in_whatever_chunks() -> None:
    text, subject = _text(), tiny_subject()
    expected: list[torch.Tensor] = []
    for tokens, length in zip(text.tokens, text.length, strict=True):
        ids = torch.tensor(tokens[None, : int(length)].astype(np.int64))
        stream = subject.capture(ids, [Site("stream", 1)]).activations[Site("stream", 1)]
        expected.append(stream[0, 1:])
    everything = _sorted_rows(torch.cat(expected))
    vectors = vectors_of_text(subject, _settings(), text)
    vectors.chunk_bytes = 4 * subject.d_model * 16  # 16 tokens
    for epoch in (0, 1):
        parts: list[torch.Tensor] = []
        while chunk := vectors.chunk(epoch, len(parts)):
            parts.append(chunk.shuffled().inputs)
        assert len(parts) > 3
        assert max(map(len, parts)) <= 16 + 7
        assert torch.allclose(_sorted_rows(torch.cat(parts)), everything, atol=1e-5)


def test_the_order_follows_from_seed_and_epoch() -> None:
    vectors = vectors_of_text(tiny_subject(), _settings(), _text())

    def read(epoch: int) -> torch.Tensor:
        chunk = vectors.chunk(epoch, 0)
        assert chunk is not None
        return chunk.shuffled().inputs

    assert torch.equal(read(0), read(0))
    assert not torch.equal(read(0), read(1))
    assert torch.equal(_sorted_rows(read(0)), _sorted_rows(read(1)))
    assert vectors.chunk(0, 1) is None


def test_huge_vectors_are_left_out() -> None:
    text = _text()
    vectors = vectors_of_text(tiny_subject(), _settings(), text)
    chunk = vectors.chunk(0, 0)
    assert chunk is not None
    chunk.pair.inputs[3] *= 1000
    huge = chunk.pair.inputs[3].clone()
    vectors.set_limits(chunk.pair)
    chunk = vectors.chunk(0, 0)
    assert chunk is not None
    kept = chunk.shuffled().inputs
    assert len(kept) == len(chunk.pair.inputs) - 1
    assert not (kept == huge).all(dim=1).any()
    assert chunk.left_out == pytest.approx(1 / len(chunk.pair.inputs))


def test_what_the_mlp_writes_is_the_difference_of_the_streams() -> None:
    text, subject = _text(), tiny_subject()
    pair = vectors_of_text(subject, _settings(MLP_IN, MLP_OUT), text).read(np.array([0, 1, 2]))
    after = vectors_of_text(subject, _settings(STREAM), text).read(np.array([0, 1, 2]))
    before = vectors_of_text(subject, _settings(Site("mid", 1)), text).read(np.array([0, 1, 2]))
    assert torch.allclose(pair.written, after.inputs - before.inputs, atol=1e-4)
    assert not torch.allclose(pair.inputs, before.inputs, atol=0.1)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Index:
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = [Document(f"d{i}", " ".join(draw.choice(words, 40))) for i in range(40)]
    out: Path = tmp_path_factory.mktemp("stored") / "i"
    corpus = corpus_from_documents("words", documents)
    build_index(tiny_subject(), corpus, out, context_len=16, store="all")
    return Index.open(out)


@pytest.mark.parametrize("places", [(STREAM, STREAM), (MLP_IN, MLP_OUT)])
def test_stored_vectors_are_those_of_a_pass(stored: Index, places: tuple[Site, Site]) -> None:
    subject, settings = tiny_subject(), _settings(*places)
    of_index = vectors_of_index(subject, settings, stored)
    assert "StoredSource" in repr(of_index.sources)
    contexts = stored.contexts("explore")
    text = Text(contexts.tokens, contexts.length)
    of_pass: Vectors = vectors_of_text(subject, settings, text)
    rows = np.arange(5)
    ours, theirs = of_index.read(rows), of_pass.read(rows)
    assert torch.allclose(ours.inputs, theirs.inputs, rtol=0.01, atol=0.01)
    assert torch.allclose(ours.written, theirs.written, rtol=0.01, atol=0.02)


def test_geometric_median_of_points_on_a_line_is_their_median() -> None:
    points = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [10.0, 1.0], [1000.0, 1.0]])
    assert torch.allclose(geometric_median(points), torch.tensor([2.0, 1.0]), atol=0.05)
