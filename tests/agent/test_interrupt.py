"""Ctrl-C ends a run in one line, loses nothing, and the run goes on afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hubel.agent.config import RunConfig
from hubel.agent.run import make_run, resolve, work_on
from hubel.agent.views import rows
from hubel.tools.subject.subject import Subject

SCRIPT = """
import signal
import sys
from pathlib import Path
from hubel.agent import cli
from hubel.agent.commands import resume
from tests.tiny import tiny_subject
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when the tests run behind a shell's &
finish = resume.finish
resume.finish = lambda folder, args, **more: finish(folder, args, tiny_subject(), **more)  # it is in no cache
sys.exit(cli.run_command_line(["resume", sys.argv[1]]))
"""


def segments(folder: Path) -> list[Path]:
    """Read as bytes and not as events: on a busy machine parsing them would outlast the run."""
    return list((folder / "events").glob("*.jsonl"))


def test_ctrl_c_is_one_line_and_the_run_goes_on(tiny: Subject, tiny_index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    targets = ["mlp.0.*", "mlp.1.*", "mlp.2.*"]
    make_run(folder, resolve(RunConfig(index=str(tiny_index), targets=targets, concurrency=1)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], env=environment, stderr=subprocess.PIPE)
    while process.poll() is None and not any(b'"event":"conclusion"' in p.read_bytes() for p in segments(folder)):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said.decode()
    assert "Traceback" not in said.decode()
    assert "hubel resume" in said.decode().strip().splitlines()[-1]
    before = [r for r in rows(folder) if r["status"] == "done"]
    assert 0 < len(before) < 72
    assert work_on(folder, subject=tiny).done == 72
    after = {r["target"]: r for r in rows(folder)}
    assert all(after[r["target"]]["predicate"] == r["predicate"] for r in before)
