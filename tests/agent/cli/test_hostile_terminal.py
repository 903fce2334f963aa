"""Text from strangers in a run reaches a terminal as text: no command prints a control character."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.log import RunLog
from tests.support.hostile_run import HOSTILE, TARGETS, make_hostile_run

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
EVIL = "\x1b[2J\x1b]0;owned\x07\r\u202e"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("hostile") / "runs"
    make_hostile_run(runs / f"run{EVIL}", len(HOSTILE))
    (runs / "broken").mkdir()
    (runs / "broken" / "config.toml").write_text(f'"{EVIL.encode("unicode_escape").decode()}" = 1')
    (runs / "misshapen").mkdir()
    text = 'index = "x"\ntargets = ["mlp.0.0"]\nseed = "\\u001b[2J"\n'
    (runs / "misshapen" / "config.toml").write_text(text)
    log = RunLog(runs / f"run{EVIL}")
    for target in TARGETS:
        log.write("failure", {"error": EVIL}, target=target)
        log.write(
            "hypothesis", {"id": EVIL, "sentence": EVIL, "origin": EVIL}, target=target, id=EVIL
        )
        log.write(
            "prediction",
            {"hypothesis": EVIL, "relation": EVIL, "passage": {"text": EVIL}},
            target=target,
            id="e",
        )
        log.write(
            "conclusion",
            {"explanation": EVIL, "predicate": EVIL, "hypothesis": EVIL},
            target=target,
        )
    log.write(
        "verdicts", {"rows": [{"target": t, "verdict": EVIL, "reason": EVIL} for t in TARGETS]}
    )
    log.close()
    return runs


@pytest.mark.parametrize(
    "command",
    [
        ["runs"],
        ["show", "RUN"],
        *(["show", "RUN", target] for target in TARGETS),
        ["show", "RUN", EVIL],
        ["show", "RUN", "--reviews"],
        ["show", "broken"],
        ["show", "misshapen"],
        ["show", EVIL],
        ["report", "RUN", "--out", "OUT"],
        ["replay", "RUN"],
        [EVIL],
        ["show", EVIL, f"--{EVIL}"],
    ],
    ids=ascii,
)
def test_no_control_character_reaches_the_terminal(
    runs: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"RUN": f"run{EVIL}", "OUT": str(tmp_path / "report.html")}
    run_command_line([words.get(word, word) for word in command] + ["--runs", str(runs)])
    printed = capsys.readouterr()
    assert printed.out + printed.err
    for text in (printed.out, printed.err):
        assert not (match := CONTROL.search(text)), ascii(text[max(0, match.start() - 200) :][:400])
