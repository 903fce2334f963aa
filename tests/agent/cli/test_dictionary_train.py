"""`hubel dictionary train`, on a tiny subject in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.subject.address import Site
from tests.support.tiny import WORDS, tiny_subject

TRAIN = (
    "dictionary train --latents 48 --k 4 --tokens 2000 --batch 64 --quiet --json --context-len 16"
)


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(" ".join(draw.choice(words, 40)) for _ in range(40)))
    subject: Any = tiny_subject()
    monkeypatch.setattr("hubel.tools.subject.load_subject", lambda *_args, **_options: subject)
    return path


def _train(arguments: str, corpus: Path) -> int:
    return run_command_line([*TRAIN.split(), "--corpus", str(corpus), *arguments.split()])


def test_a_dictionary_is_trained_and_reported(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "d"
    assert _train(f"--site resid.1 --out {out}", corpus) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["site"], row["latents"], row["k"], row["tokens"]) == ("resid.1", 48, 4, 1984)
    assert row["explained_variance"] > 0
    assert row["l0"] <= 4
    assert {"recovered_from_mean", "recovered_from_zero", "dead"} <= set(row)
    for form in row["forms"].values():
        assert read_dictionary(form, "d").reads == Site("stream", 1)
    assert _train(f"--site resid.1 --out {out}", corpus) == 0  # finished already
    assert json.loads(capsys.readouterr().out) == row


def test_a_transcoder_is_written_for_sparsify_only(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(f"--site mlp.1 --transcoder --out {tmp_path / 't'}", corpus) == 0
    row = json.loads(capsys.readouterr().out)
    assert list(row["forms"]) == ["sparsify"]
    assert len(row["notes"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--site resid --out {out}", "--site 'resid' given; expected resid.12"),
        ("--site head.1 --out {out}", "--site 'head.1' given"),
        ("--site mlp.1 --out {out}", "is for --transcoder"),
        ("--site resid.1 --transcoder --out {out}", "expected mlp.1"),
        ("--site resid.9 --out {out}", "layer 9 given; the subject has 0 to 2"),
        ("--site resid.1 --out {out} --index x", "either --corpus or --index"),
        ("--site resid.1 --out {out} --context-len 1", "--context-len 1: give at least 2"),
        ("--site resid.1 --out {out} --context-len 500", "reads at most 128"),
        ("--site resid.1 --out {out} --k 49", "k 49 given; expected 1 to the 48 latents"),
    ],
)
def test_wrong_use_is_one_line(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    assert _train(arguments.format(out=tmp_path / "d"), corpus) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "d").exists()
