"""A finished run computes to itself again, from its log alone, and a log that was changed does not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import Event, read_events
from hubel.agent.runlog.views import target_rows
from hubel.bench.soak.forge import forge
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.finished_run import FINISHED
from tests.support.processes import checkout_environment


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run whose index is gone."""
    shutil.copytree(finished, tmp_path / "run")
    config = (
        (tmp_path / "run" / "config.toml")
        .read_text()
        .replace(RunConfig.load(finished).index, "gone")
    )
    (tmp_path / "run" / "config.toml").write_text(config)
    forge(tmp_path / "run")
    return tmp_path / "run"


def test_a_replay_needs_no_index_and_gives_the_same_bits(copy: Path) -> None:
    before = target_rows(copy)
    replayed = replay(copy)
    assert replayed.mismatches == []
    assert replayed.bitwise
    assert replayed.rows == before


@pytest.mark.slow
def test_a_changed_verdict_is_a_mismatch(copy: Path) -> None:
    target = target_rows(copy)[0]["target"]

    def change(event: Event) -> Event:
        if event.event == "verdicts":
            changed = [
                r | {"verdict": "kept?"} if r["target"] == target else r for r in event.data["rows"]
            ]
            return event._replace(data={"rows": changed})
        return event

    forge(copy, change)
    assert any(target in m and "verdict" in m and "kept?" in m for m in replay(copy).mismatches)


@pytest.mark.slow
def test_a_changed_answer_gives_other_scores(copy: Path) -> None:
    target = next(r["target"] for r in target_rows(copy) if r["scores"])

    def change(event: Event) -> Event:
        if event.event == "explainer_call" and event.target == target:
            answer = json.loads(json.dumps(event.data["answer"]))
            for hypothesis in answer["hypotheses"]:
                hypothesis["predicate"] = 'strongly words("zebra") - slightly words("yacht")'
            answer["experiments"] = []
            return event._replace(data=event.data | {"answer": answer})
        return event

    forge(copy, change)
    replayed = replay(copy)
    assert any(m.startswith(target) for m in replayed.mismatches)
    assert next(r for r in replayed.rows if r["target"] == target)["verdict"] != "kept"


SCRIPT = """
import sys
from pathlib import Path
from hubel.agent.run.execute import execute_run
from tests.support.tiny import tiny_subject
execute_run(Path(sys.argv[1]), subject=tiny_subject())
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env=checkout_environment(),
        stderr=subprocess.PIPE,
    )


def count(folder: Path) -> int:
    return sum(1 for _ in read_events(folder))


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_same_rows(
    finished: Path, tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    make_run(folder, resolve(run_config(index=str(tiny_index), concurrency=2, **FINISHED)))
    for events in (2, 25):
        process = start(folder)
        while process.poll() is None and count(folder) < events:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    execute_run(folder, subject=tiny)
    timeless = [{k: v for k, v in r.items() if k != "seconds"} for r in target_rows(folder)]
    assert timeless == [
        {k: v for k, v in r.items() if k != "seconds"} for r in target_rows(finished)
    ]
    requests = [
        (e.target, e.id) for e in read_events(folder) if e.event in ("call", "explainer_call")
    ]
    assert len(requests) == len(set(requests)), "no answer was asked for twice"
