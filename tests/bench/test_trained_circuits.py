"""`hubel bench circuits --trained` on barely trained models, of which the same must hold as of any model."""

import json

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.bench.known_circuits import trained
from hubel.bench.known_circuits.training_tasks import TASKS
from hubel.bench.trained_circuits import HEADS_AT, SHARES


@pytest.fixture(autouse=True)
def few_training_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained, "MIN_ACCURACY", 0.0)
    monkeypatch.setattr(trained, "RECIPE", "hardly")
    for name in ("induction", "reverse", "modular-addition", "dyck-1"):
        monkeypatch.setitem(TASKS, name, TASKS[name]._replace(steps=2))


@pytest.mark.slow
def test_all_edges_are_faithful_and_results_are_cached(capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "bench",
        "circuits",
        "--trained",
        "--method",
        "eap,random",
        "--seed",
        "7",
        "--json",
        "--quiet",
    ]
    assert run_command_line(command) == 0
    first = capsys.readouterr().out
    *rows, last = [json.loads(line) for line in first.splitlines()]
    assert [row["trained"] for row in rows] == list(TASKS)
    for row in rows:
        for curves in row["methods"].values():
            assert curves["f"][SHARES.index(1.0)] == pytest.approx(1, abs=1e-4)
    assert (
        set(rows[0]["heads"])
        == set(rows[0]["methods"]["eap"]["heads"])
        == {"previous", "induction"}
    )
    assert all(head.startswith("head.1.") for head in rows[0]["heads"]["induction"])
    assert HEADS_AT in SHARES
    assert set(last["summary"]["cmd"]) == {"eap", "random"}
    assert run_command_line(command) == 0
    assert capsys.readouterr().out == first


def test_options_of_compiled_circuits_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["bench", "circuits", "--trained", "--program", "previous"]) == 2
    assert "--program" in capsys.readouterr().err
