"""A run that is killed while it awaits a reply goes on where it was, with the same verdicts.

No reply is paid for twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.llm.conversation import Reply, Request
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.log import canonical, read_events
from hubel.agent.runlog.views import target_rows
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.processes import checkout_environment
from tests.support.scripted_model import ScriptedModel, diligent

SCRIPT = """
import sys
from pathlib import Path
from hubel.agent.run.execute import execute_run
from tests.agent.run.test_killed_awaiting_reply import Mortal
from tests.support.tiny import tiny_subject
execute_run(Path(sys.argv[1]), subject=tiny_subject(), model=Mortal(Path(sys.argv[2]), int(sys.argv[3])))
"""


class Mortal(ScriptedModel):
    """Writes down every reply that it gives, and is killed at the first request above its number."""

    def __init__(self, ledger: Path, replies: int) -> None:
        super().__init__(diligent)
        self._ledger, self._replies = ledger, replies

    def reply(self, request: Request) -> Reply:
        """The reply, or the end of the process."""
        if len(self.requests) >= self._replies:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._ledger.open("a") as file:
            file.write(canonical(request.to_json()) + "\n")
        return super().reply(request)


@pytest.mark.slow
def test_a_run_killed_while_it_awaits_replies_pays_for_none_twice(
    tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"competitor": False, "max_contexts": 300, "concurrency": 1}
    config = resolve(
        run_config(
            index=str(tiny_index),
            targets=["mlp.0.0", "mlp.0.1"],
            explainer="openai:test",
            **settings,
        )
    )
    for name in ("killed", "whole"):
        make_run(tmp_path / name, config)
    ledger = tmp_path / "ledger"
    for replies in (3, 5):
        assert _run_and_die(tmp_path / "killed", ledger, replies) == -signal.SIGKILL
    execute_run(tmp_path / "killed", subject=tiny, model=Mortal(ledger, 100))
    execute_run(tmp_path / "whole", subject=tiny, model=ScriptedModel(diligent))
    assert [_timeless(r) for r in target_rows(tmp_path / "killed")] == [
        _timeless(r) for r in target_rows(tmp_path / "whole")
    ]
    paid = Counter(ledger.read_text().splitlines())
    assert len(paid) == 12
    assert set(paid.values()) == {1}, (
        "the requests of a target are all different, and none was paid for twice"
    )
    replies = [e.id for e in read_events(tmp_path / "killed") if e.event == "llm_call"]
    assert len(replies) == len(set(replies)) == 12


def _run_and_die(folder: Path, ledger: Path, replies: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(ledger), str(replies)]
    return subprocess.run(
        command, env=checkout_environment(), stderr=subprocess.PIPE, check=False
    ).returncode


def _timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(canonical({k: v for k, v in row.items() if k != "seconds"}))
