"""Opening the subject of a run: the same weights, or an error that says which ones are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.runlog.run_subject import open_run_subject
from hubel.tools.errors import UsageError
from hubel.tools.subject import load_subject
from tests.support.configs import run_config
from tests.support.tiny import tiny_model, tiny_tokenizer


def _save(folder: Path, seed: int) -> str:
    tokenizer = tiny_tokenizer()
    tiny_model(seed=seed, vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_subject(str(folder)).revision


def test_the_subject_of_a_run_has_the_recorded_weights(tmp_path: Path) -> None:
    recorded = _save(tmp_path / "model", seed=0)
    record = {"name": str(tmp_path / "model"), "revision": recorded}
    config = run_config(index="", targets=[], subject=record)
    assert open_run_subject(tmp_path / "run", config).revision == recorded

    other = _save(tmp_path / "model", seed=1)
    with pytest.raises(UsageError) as caught:
        open_run_subject(tmp_path / "run", config)
    assert all(part in str(caught.value) for part in (recorded, other, "the run 'run'"))
