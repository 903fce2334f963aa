"""Ctrl-C ends a run in one line, loses nothing, and the run goes on afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback, Rule, Script
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.processes import checkout_environment
from tests.support.scripted_model import ScriptedModel, diligent

SCRIPT = """
import os
import signal
import sys
from pathlib import Path
from hubel.agent.cli.main import run_command_line
from hubel.agent.cli.commands import resume
from tests.support.tiny import tiny_subject
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when the tests run behind a shell's &
finish = resume.finish
resume.finish = lambda folder, args, **more: finish(folder, args, tiny_subject(), **more)  # it is in no cache
sys.exit(run_command_line(["resume", sys.argv[1]], leave=os._exit))
"""


def segments(folder: Path) -> list[Path]:
    """Read as bytes and not as events: on a busy machine parsing them would outlast the run."""
    return list((folder / "events").glob("*.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_a_shutdown_is_one_line_and_the_run_goes_on(
    tiny: Subject, tiny_index: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    targets = ["mlp.0.*", "mlp.1.*", "mlp.2.*"]
    make_run(folder, resolve(run_config(index=str(tiny_index), targets=targets, concurrency=1)))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env=checkout_environment(),
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not any(
        b'"event":"conclusion"' in p.read_bytes() for p in segments(folder)
    ):
        time.sleep(0.005)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1, error.decode()
    assert "Traceback" not in error.decode()
    assert f"`hubel resume {folder}` continues it" in error.decode().strip().splitlines()[-1]
    before = [r for r in target_rows(folder) if r["status"] == "done"]
    assert 0 < len(before) < 72
    assert execute_run(folder, subject=tiny).done == 72
    after = {r["target"]: r for r in target_rows(folder)}
    assert all(after[r["target"]]["predicate"] == r["predicate"] for r in before)


def asking(folder: Path, index: Path, server: Loopback) -> subprocess.Popen[bytes]:
    """A process that works on a run of four targets, two side by side."""
    targets = ["mlp.0.0", "mlp.0.1", "mlp.0.2", "mlp.1.0"]
    settings: dict[str, Any] = {"competitor": False, "max_contexts": 300, "concurrency": 2}
    settings |= {"explainer": "openai:test", "base_url": server.url("openai")}
    make_run(folder, resolve(run_config(index=str(index), targets=targets, **settings)))
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env=checkout_environment(),
        stderr=subprocess.PIPE,
    )


def wait_for(process: subprocess.Popen[bytes], server: Loopback, requests: int) -> None:
    while process.poll() is None and len(server.ledger.entries()) < requests:
        time.sleep(0.01)


@pytest.mark.slow
def test_ctrl_c_once_keeps_the_replies_that_are_in_flight(
    tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    with Loopback(ScriptedModel(diligent), script=Script(delay_s=0.5)) as server:
        process = asking(tmp_path / "run", tiny_index, server)
        wait_for(process, server, 3)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 1, error.decode()
        assert "Traceback" not in error.decode()
        answered = sum(server.ledger.answered().values())
        assert answered == len(server.ledger.entries()) < 24
        assert answered == sum(event.event == "llm_call" for event in read_events(tmp_path / "run"))
        assert execute_run(tmp_path / "run", subject=tiny).done == 4
        assert set(server.ledger.asked().values()) == {1}, "nothing was asked for twice"


@pytest.mark.slow
def test_ctrl_c_twice_waits_for_nothing(tiny: Subject, tiny_index: Path, tmp_path: Path) -> None:
    slow = Script(rules=(Rule(at=(1, 2), delay_s=600),))
    with Loopback(ScriptedModel(diligent), script=slow) as server:
        process = asking(tmp_path / "run", tiny_index, server)
        wait_for(process, server, 2)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        for line in process.stderr:
            if b"interrupt again" in line:
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 1, error.decode()
        assert "Traceback" not in error.decode()
        assert [entry.ended for entry in server.ledger.entries()] == [None, None], (
            "it did not wait for the answers"
        )
        assert execute_run(tmp_path / "run", subject=tiny).done == 4
        assert sorted(server.ledger.asked().values())[-3:] == [1, 2, 2], (
            "what was in flight is asked for again"
        )
