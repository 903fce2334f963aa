"""`hubel watch` as a user types it: silent on the same texts, alarmed by one changed layer."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.agent.cli.commands import watch as command
from hubel.agent.cli.main import run_command_line
from hubel.tools.subject.architectures import matrix
from hubel.tools.subject.subject import Subject
from tests.support.tiny import WORDS, tiny_subject


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The subject that the command loads; it is in no folder."""
    tiny = tiny_subject()
    monkeypatch.setattr(command, "_load", lambda _args, _reporter: tiny)
    return tiny


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    lines = [" ".join(draw.choice(WORDS.split(), 12)) for _ in range(120)]
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(lines))
    return path


def watch(*argv: str | Path) -> int:
    common = ["watch", "--subject", "tiny", "--targets", "mlp.1.0-1,head.2.0", "-q"]
    return run_command_line([*common, *map(str, argv)])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_baseline_then_silence_then_an_alarm(
    watched: Subject, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    baseline = tmp_path / "usual.json"
    every = texts.read_text().splitlines()

    def stream(part: list[str]) -> None:
        stdin = io.TextIOWrapper(io.BytesIO("\n".join(part).encode()))
        monkeypatch.setattr(sys, "stdin", stdin)

    stream(every[:60])
    assert watch("-", "--save-baseline", baseline) == 0
    capsys.readouterr()

    stream(every[60:])
    assert watch("-", "--baseline", baseline, "--json") == 0
    *rows, last = lines(capsys)
    assert len(rows) == last["summary"]["texts"] == 60
    assert last["summary"]["alarms"] == []
    assert {row["kind"] for row in rows} == {"text"}
    assert set(rows[0]["strongest"]) == {"mlp.1.0", "mlp.1.1", "head.2.0"}

    with torch.no_grad():
        matrix(watched.parts.layers[1].mlp_down).mul_(3)
    stream(every[60:])
    assert watch("-", "--baseline", baseline, "--json") == 1
    summary = lines(capsys)[-1]["summary"]
    assert summary["first_layer"] == 1
    assert {"channel": "stream.1 length", "rises": True} in summary["alarms"]


def test_a_generation_is_a_line_a_step(watched: Subject, capsys) -> None:
    argv = ("--text", "the cat", "--text", "a dog", "--new-tokens", "5")
    assert watch(*argv, "--json", "--measure") == 0
    rows = lines(capsys)
    kinds = [row.get("kind", "summary") for row in rows]
    assert kinds == [*["step"] * 5, "text"] * 2 + ["summary"]
    assert [row["step"] for row in rows[:5]] == [1, 2, 3, 4, 5]
    assert set(rows[0]["activations"]) == {"mlp.1.0", "mlp.1.1", "head.2.0"}
    assert rows[-1]["summary"]["plain_ms_per_step"] > 0
    assert watch(*argv) == 0
    assert "2 texts watched" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_watched(
    watched: Subject, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def interrupted(_args: object):
        yield from texts.read_text().splitlines()[:30]
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_texts", interrupted)
    assert watch("-", "--save-baseline", tmp_path / "b.json") == 1
    printed = capsys.readouterr()
    assert "30 texts watched" in printed.out
    assert "stopped after 30 texts" in printed.err
    assert (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("-", "--text", "x"), "in one way"),
        (("--text", "x", "--measure"), "--new-tokens"),
        (("--text", "x", "--temperature", "9"), "0 to 5"),
        (("--text", "x", "--limit", "0"), "at least 1"),
        (("--text", "x", "--false-alarms", "0"), "between 0 and 1"),
        (("--text", "x", "--baseline", "nowhere.json"), "--save-baseline"),
        (("--text", "the cat", "--save-baseline", "b.json"), "at least 20"),
        (("--text", "the cat", "--targets", "mlp.9.0"), "layers 0 to 2"),
        (("--text", "the cat", "--new-tokens", "500"), "ask for fewer"),
    ],
)
def test_wrong_use_is_one_line(watched: Subject, argv: tuple[str, ...], says: str, capsys) -> None:
    assert watch(*argv) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_run_gives_targets_and_explanations(watched: Subject, capsys) -> None:
    example = Path(__file__).parents[3] / "runs" / "example"
    if not example.exists():
        pytest.skip("the example run is not in this checkout")
    argv = ["watch", "--subject", "tiny", "--run", str(example), "--text", "the cat", "-q"]
    assert run_command_line(argv) == 2  # its units are of a larger subject
    assert "layer 1 has mlp units 0 to 23" in capsys.readouterr().err
