from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.agent.cli.cache_items import items
from hubel.tools.errors import UsageError
from hubel.tools.subject import load_subject, selftest
from hubel.tools.subject.architectures import ARCHITECTURES, Architecture

from .model_folder import save_tiny


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "m")


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The number formats of the subjects that were tested, in turn."""
    formats: list[str] = []
    run = selftest.self_test

    def counted(subject: Any) -> None:
        formats.append(str(subject.dtype).removeprefix("torch."))
        run(subject)

    monkeypatch.setattr(selftest, "self_test", counted)
    return formats


def test_a_subject_is_tested_once(folder: Path, tested: list[str]) -> None:
    subjects = [load_subject(str(folder), device="cpu") for _ in range(3)]
    assert tested == ["float32"]
    ids = torch.arange(1, 9)[None]
    first, *others = [subject.model(ids).logits for subject in subjects]
    assert all(torch.equal(first, other) for other in others)


def test_what_decides_the_outcome_is_tested_again(folder: Path, tested: list[str]) -> None:
    load_subject(str(folder), device="cpu")
    load_subject(str(folder), device="cpu", dtype="bfloat16")
    load_subject(str(folder), device="cpu", attention="eager")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-5}))
    load_subject(str(folder), device="cpu")
    assert tested == ["float32", "bfloat16", "float32", "float32"]


def test_other_code_or_versions_are_tested_again(
    folder: Path, tested: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_subject(str(folder), device="cpu")
    for name in ("torch.__version__", "transformers.__version__"):
        with monkeypatch.context() as patch:
            patch.setattr(name, "99.0.0")
            load_subject(str(folder), device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr("hubel.tools.subject.passed_tests.code_sha256", lambda _folder: "other")
        load_subject(str(folder), device="cpu")
    assert len(tested) == 4
    load_subject(str(folder), device="cpu")
    assert len(tested) == 4


def test_a_wrong_table_is_refused_after_the_right_one_has_passed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_subject(str(folder), device="cpu")
    monkeypatch.setitem(ARCHITECTURES, "llama", Architecture("llama", mlp_write="self_attn"))
    for _ in range(2):  # a failure is not remembered either
        with pytest.raises(UsageError, match="do not add up"):
            load_subject(str(folder), device="cpu")


def test_damaged_weights_are_refused_after_they_have_passed(folder: Path) -> None:
    load_subject(str(folder), device="cpu")
    path = folder / "model.safetensors"
    status, weights = path.stat(), load_file(path)
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    with pytest.raises(UsageError, match="NaN or infinite"):
        load_subject(str(folder), device="cpu")


@pytest.mark.parametrize("damage", ["cut", "flipped", "another subject's", "a folder", "a FIFO"])
def test_a_damaged_note_means_another_test(
    folder: Path, cache: Path, tested: list[str], damage: str
) -> None:
    load_subject(str(folder), device="cpu")
    (note,) = (cache / "selftests").iterdir()
    content = note.read_bytes()
    if damage == "cut":
        note.write_bytes(content[:40])
    elif damage == "flipped":
        note.write_bytes(content.replace(b"float32", b"float16"))
    elif damage == "another subject's":
        load_subject(str(folder), device="cpu", dtype="bfloat16")
        (other,) = set((cache / "selftests").iterdir()) - {note}
        note.write_bytes(other.read_bytes())
        tested.clear()
        tested.append("float32")
    else:
        note.unlink()
        note.mkdir() if damage == "a folder" else os.mkfifo(note)
    load_subject(str(folder), device="cpu")
    assert tested == ["float32", "float32"]


def test_a_cache_that_cannot_be_written_is_no_error(
    folder: Path, cache: Path, tested: list[str]
) -> None:
    cache.write_text("a file where the cache should be")
    for _ in range(2):
        load_subject(str(folder), device="cpu")
    assert tested == ["float32", "float32"]


def test_the_cache_lists_what_is_remembered(folder: Path, cache: Path) -> None:
    load_subject(str(folder), device="cpu")
    assert "selftests" in {item.kind for item in items(cache)}
