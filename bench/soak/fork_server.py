"""Processes that can be killed by the hundred: one that has imported everything forks a child for
each.

Importing what a run needs takes seconds, and a kill would cost them each time. A nursery imports
once, starts no thread, and forks; a child begins where a fresh process would have arrived. What is
killed is a whole process with its memory, its threads and its half-written files; only the imports
are shared with the one that follows.

    the soak                            the nursery                        a child
                                <-      {"ready": true}
    {"run": FOLDER, ...}        ->      fork                       ->      work on the run, exit
                                <-      {"pid": 123}
    (SIGKILL to 123, or nothing)        wait for it
                                <-      {"status": -9, "cpu_s": 0.8}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXIT = {"done": 0, "budget": 3, "failed": 4}
"""How a child ends, as the command line would."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status, negative for a signal, and its CPU seconds."""

    status: int
    cpu_s: float


class ForkServer:
    """The soak's end of a nursery; a context manager. `folder` takes what children say on stderr."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "children.log"
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,  # Ctrl-C is for the soak; it ends its nurseries itself
            )
        self._answer()

    def start(
        self, run: Path, *, limits: Mapping[str, float] | None = None, key: str = "none"
    ) -> int:
        """Fork a child that works on a run; its process id.

        Args:
            limits: of the run, by unit.
            key: what it shows to servers, which tells them the processes of a run apart.
        """
        self._ask({"run": str(run), "limits": dict(limits or {}), "key": key})
        return self._answer()["pid"]

    def wait(self) -> Ended:
        """Wait for the child that was started last."""
        return Ended(**self._answer())

    def work(
        self, run: Path, *, limits: Mapping[str, float] | None = None, key: str = "none"
    ) -> Ended:
        """A child that is let be until it ends."""
        self.start(run, limits=limits, key=key)
        return self.wait()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()  # its child notices that its parent is another, and ends
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _ask(self, words: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            tail = self._said.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the nursery is gone; it said: {tail}")
        return json.loads(line)


def serve() -> None:
    """Be a nursery: fork a child for each line of standard input."""
    subject = _prepare()
    _say({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_child(subject, asked)
        _say({"pid": pid})
        _, status, used = os.wait4(pid, 0)
        _say({"status": os.waitstatus_to_exitcode(status), "cpu_s": used.ru_utime + used.ru_stime})


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _prepare() -> Any:
    """Import all that a run imports, and make the subject."""
    import anthropic.resources.messages
    import duckdb
    import langgraph.checkpoint.sqlite
    import langgraph.graph
    import openai.resources.chat
    import pyarrow.parquet
    import torch

    from ...agent.explainers import compositional
    from ...agent.explainers.language_model import explainer as language_model
    from ...agent.investigation import loop as investigation
    from ...agent.investigation import verify
    from ...agent.llm import anthropic as messages
    from ...agent.llm import openai as completions
    from ...agent.run import execute as run
    from ...tools import instruments
    from ..tiny_subject import miniature

    del anthropic, duckdb, langgraph, openai, pyarrow, investigation, run, verify
    del compositional, language_model, messages, completions
    torch.set_num_threads(1)
    instruments.instruments()
    return miniature()


def _be_child(subject: Any, asked: dict[str, Any]) -> None:
    status = 1
    try:
        os.environ |= {"OPENAI_API_KEY": asked["key"], "ANTHROPIC_API_KEY": asked["key"]}
        _end_with_parent()
        status = _work(subject, Path(asked["run"]), asked["limits"])
    finally:
        sys.stderr.flush()
        os._exit(status)  # none of the nursery's own clean-up


def _work(subject: Any, run: Path, limits: dict[str, float]) -> int:
    from ...agent.run.execute import execute_run
    from ...agent.runlog.model_config import BudgetConfig

    result = execute_run(run, subject=subject, limits=BudgetConfig(limits) if limits else None)
    if result.budget:
        return EXIT["budget"]
    return EXIT["failed"] if result.failed or result.pending else EXIT["done"]


def _end_with_parent() -> None:
    """A child whose nursery is gone has nobody to work for."""
    import threading
    import time

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
