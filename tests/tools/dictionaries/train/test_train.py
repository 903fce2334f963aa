"""Trainings in a folder: the dictionary in two forms, and the same after a kill at any moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Document
from hubel.tools.corpus.documents import corpus_from_documents
from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.dictionaries.train.settings import TrainSettings
from hubel.tools.dictionaries.train.text import CorpusText
from hubel.tools.dictionaries.train.train import TrainOutcome, train_dictionary
from hubel.tools.errors import CorruptError, UsageError
from hubel.tools.subject.address import Site
from tests.support.tiny import D_MODEL, WORDS, tiny_subject

STREAM = Site("stream", 1)
SETTINGS = TrainSettings(STREAM, STREAM, latents=48, k=4, tokens=4096, batch=64, rate=0.01)


class _Killed(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def text() -> CorpusText:
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = [Document(f"d{i}", " ".join(draw.choice(words, 40))) for i in range(40)]
    return CorpusText(corpus_from_documents("words", documents), context_len=16)


def _train(
    out: Path,
    text: CorpusText,
    settings: TrainSettings = SETTINGS,
    report: Callable[[object], None] = lambda progress: None,
) -> TrainOutcome:
    return train_dictionary(tiny_subject(), settings, text, out, report=report, checkpoint_every=5)


@pytest.fixture(scope="module")
def trained(text: CorpusText, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "d"
    _train(out, text)
    return out


def test_figures_are_those_of_the_written_dictionary(text: CorpusText, trained: Path) -> None:
    outcome = _train(trained, text)  # finished: read again
    assert outcome.figures.tokens == 4096
    assert 0.5 < outcome.figures.explained_variance < 1
    assert outcome.figures.l0 <= 4
    assert outcome.forms == {"saelens": "saelens", "sparsify": "sparsify/layers.1"}
    assert not (trained / "work").exists()


def test_both_forms_and_the_folder_itself_read_as_the_same_dictionary(trained: Path) -> None:
    vectors = torch.randn(20, D_MODEL) * 3
    forms = [
        read_dictionary(path, "d")
        for path in (trained, trained / "saelens", trained / "sparsify/layers.1")
    ]
    for form in forms:
        assert (form.reads, form.writes) == (STREAM, STREAM)
        assert torch.allclose(form.decoder.norm(dim=1), torch.ones(48), atol=1e-5)
        assert torch.allclose(form.encode(vectors), forms[0].encode(vectors), atol=1e-5)


@pytest.mark.parametrize("killed_at", [1, 7, 40, 64, 66])
def test_a_killed_training_ends_in_the_same_dictionary(
    text: CorpusText, trained: Path, tmp_path: Path, killed_at: int
) -> None:
    reports = 0

    def kill(progress: object) -> None:
        nonlocal reports
        reports += 1
        if reports == killed_at:
            raise _Killed

    with pytest.raises(_Killed):
        _train(tmp_path / "d", text, report=kill)
    again: list[object] = []
    _train(tmp_path / "d", text, report=again.append)
    assert len(again) <= 66 - killed_at + 5 + 5
    for name in ("saelens/sae_weights.safetensors", "training.json"):
        assert (tmp_path / "d" / name).read_bytes() == (trained / name).read_bytes(), name


def test_a_transcoder_learns_what_the_mlp_writes(text: CorpusText, tmp_path: Path) -> None:
    settings = replace(SETTINGS, reads=Site("mlp_in", 1), writes=Site("mlp_out", 1))
    outcome = _train(tmp_path / "t", text, settings)
    assert outcome.figures.explained_variance > 0.4
    assert list(outcome.forms) == ["sparsify"]
    assert "SAELens cannot hold" in outcome.notes[0]
    read = read_dictionary(tmp_path / "t", "t")
    assert (read.reads, read.writes) == (Site("mlp_in", 1), Site("mlp_out", 1))


def test_another_training_is_refused(text: CorpusText, trained: Path) -> None:
    with pytest.raises(UsageError, match=r"holds a training with k 4; k 8 given"):
        _train(trained, text, replace(SETTINGS, k=8))


def test_a_folder_of_other_files_is_refused(text: CorpusText, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        _train(tmp_path, text)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_damaged_checkpoint_is_named(text: CorpusText, tmp_path: Path) -> None:
    def kill(progress: object) -> None:
        if getattr(progress, "done", 0) == 64 * 12:
            raise _Killed

    with pytest.raises(_Killed):
        _train(tmp_path / "d", text, report=kill)
    (tensors,) = tmp_path.rglob("tensors.safetensors")
    content = bytearray(tensors.read_bytes())
    content[-5] ^= 1
    tensors.write_bytes(content)
    with pytest.raises(CorruptError, match="rm -r"):
        _train(tmp_path / "d", text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k 0 given; expected 1 to the 48 latents"),
        ({"k": 49}, "k 49 given"),
        ({"tokens": 0}, "0 tokens in batches of 64"),
        ({"rate": 2.0}, "rate 2.0 given"),
        ({"reads": Site("stream", 3), "writes": Site("stream", 3)}, "has 0 to 2"),
        ({"writes": Site("stream", 2)}, "expected from mlp_in to mlp_out"),
        ({"reads": Site("z", 1), "writes": Site("z", 1)}, "hook 'z' given"),
    ],
)
def test_wrong_settings_are_refused(
    text: CorpusText, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _train(tmp_path / "d", text, replace(SETTINGS, **changes))  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "d").exists()


def test_a_corpus_without_held_back_text_is_refused(tmp_path: Path) -> None:
    document = corpus_from_documents("one", [Document("d", " ".join(WORDS.split()))])
    with pytest.raises(UsageError, match="longer corpus"):
        _train(tmp_path / "d", CorpusText(document, context_len=16))
