"""The check of a wiring is made once for a subject that is as it was loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hubel.tools.circuits import selftest
from hubel.tools.circuits.selftest import reopen_circuit_model
from hubel.tools.errors import UsageError
from hubel.tools.subject import load_subject
from tests.support.tiny import tiny_subject
from tests.tools.subject.model_folder import save_tiny


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    return save_tiny(tmp_path / "m")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the subjects that were checked, in turn."""
    names: list[str] = []
    check = selftest._find_fault

    def counted(model: Any) -> str | None:
        names.append(model.subject.name)
        return check(model)

    monkeypatch.setattr(selftest, "_find_fault", counted)
    return names


def test_a_loaded_subject_is_checked_once(folder: Path, checks: list[str]) -> None:
    first = reopen_circuit_model(load_subject(str(folder), device="cpu"))
    again = reopen_circuit_model(load_subject(str(folder), device="cpu"))
    assert len(checks) == 1
    z = torch.randn(2, first.subject.d_model)
    assert torch.equal(first.head_writes(1, z), again.head_writes(1, z))
    reopen_circuit_model(load_subject(str(folder), device="cpu", dtype="bfloat16"))
    assert len(checks) == 2


def test_a_subject_that_was_made_is_checked_each_time(checks: list[str]) -> None:
    subject = tiny_subject()
    for _ in range(2):
        reopen_circuit_model(subject)
    assert len(checks) == 2


def test_a_fault_is_not_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = load_subject(str(folder), device="cpu")
    monkeypatch.setattr(selftest, "_find_fault", lambda _model: "it is wrong")
    for _ in range(2):
        with pytest.raises(UsageError, match="it is wrong"):
            reopen_circuit_model(subject)
