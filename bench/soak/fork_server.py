"""Processes that can be killed by the hundred: a fork server, which has imported everything, forks a
child for each.

Importing what a run needs takes seconds, and each kill would cost them again. The fork server
imports once and starts no thread; a child begins where a fresh process would be after its imports.
What is killed is a whole process with its memory, threads and half-written files; the next one
shares nothing with it but the imports.

    the soak                            the fork server                    a child
                                <-      {"ready": true}
    {"run": FOLDER, ...}        ->      fork                       ->      execute the run, exit
                                <-      {"pid": 123}
    (SIGKILL to 123, or nothing)        wait for it
                                <-      {"status": -9, "cpu_s": 0.8}
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...tools.subject import Subject

EXIT = {"done": 0, "budget": 3, "failed": 4}
"""Exit statuses of a child, as those of the command line."""
COMMAND_S = 120
"""Seconds after which a command line is killed; none takes more than a few in one process."""


@dataclass(frozen=True)
class ChildExit:
    """How a child ended: its exit status, negative for a signal, and its CPU seconds."""

    status: int
    cpu_s: float


class ForkServer:
    """The soak's side of the fork server; a context manager.

    Args:
        folder: for the standard error of the children.
    """

    def __init__(self, folder: Path) -> None:
        self._stderr = folder / "children.log"
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,  # Ctrl-C is for the soak, which ends the fork server itself
            )
        self._receive()

    def start(
        self,
        run: Path,
        *,
        limits: Mapping[str, float] | None = None,
        key: str = "none",
        dies_at: int = 0,
    ) -> int:
        """Fork a child that executes a run; returns its process id.

        Args:
            limits: budget of the run, by unit.
            key: API key of the child, by which a server tells the processes of a run apart.
            dies_at: the step of its batches at which it kills itself (`batch_steps`); 0 for none.
        """
        command = {"run": str(run), "limits": dict(limits or {}), "key": key, "dies_at": dies_at}
        self._send(command)
        return self._receive()["pid"]

    def start_command(
        self,
        argv: Sequence[str],
        output: Path,
        cache: Path,
        *,
        key: str = "none",
        limit_s: int = COMMAND_S,
    ) -> int:
        """Fork a child that runs one command line; returns its process id.

        Args:
            output: for its standard output; its standard error goes to the same name with `.err`.
            cache: its HUBEL_CACHE.
            key: its API key, as in `start`.
            limit_s: seconds after which it is killed.
        """
        command = {"argv": list(argv), "output": str(output), "cache": str(cache)}
        self._send(command | {"key": key, "limit_s": limit_s})
        return self._receive()["pid"]

    def start_index(self, step: Mapping[str, Any]) -> int:
        """Fork a child that makes or merges a part of an index; returns its process id.

        Args:
            step: as `shard_steps.execute` takes it.
        """
        self._send({"index": dict(step)})
        return self._receive()["pid"]

    def command(self, argv: Sequence[str], output: Path, cache: Path) -> ChildExit:
        """Fork a child that runs one command line, and wait until it ends."""
        self.start_command(argv, output, cache)
        return self.wait()

    def wait(self) -> ChildExit:
        """Wait for the child that was started last."""
        return ChildExit(**self._receive())

    def work(
        self,
        run: Path,
        *,
        limits: Mapping[str, float] | None = None,
        key: str = "none",
        dies_at: int = 0,
    ) -> ChildExit:
        """Fork a child and wait until it ends."""
        self.start(run, limits=limits, key=key, dies_at=dies_at)
        return self.wait()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()  # a child notices that its parent has changed, and ends
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            tail = self._stderr.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the fork server has ended; its last output: {tail}")
        return json.loads(line)


def serve() -> None:
    """The fork server's process: fork a child for each line of standard input."""
    subject = _prepare()
    _report({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _work_of(command)(subject, command)
        _report({"pid": pid})
        _, status, usage = os.wait4(pid, 0)
        _report(
            {"status": os.waitstatus_to_exitcode(status), "cpu_s": usage.ru_utime + usage.ru_stime}
        )


def _work_of(command: Mapping[str, Any]) -> Callable[[Subject, dict[str, Any]], None]:
    """What a child does."""
    if "argv" in command:
        return _run_command
    return _run_index if "index" in command else _run_child


def key_variables(key: str) -> dict[str, str]:
    """The environment in which a process has an API key, whichever the provider."""
    return {"OPENAI_API_KEY": key, "ANTHROPIC_API_KEY": key}


def _report(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _prepare() -> Subject:
    """Import everything that a run imports, and make the subject."""
    import anthropic.resources.messages
    import duckdb
    import langgraph.checkpoint.sqlite
    import langgraph.graph
    import openai.resources.chat
    import pyarrow.parquet
    import torch
    import transformers

    from ...agent.cli import main
    from ...agent.explainers import compositional
    from ...agent.explainers.language_model import explainer as language_model
    from ...agent.investigation import loop as investigation
    from ...agent.investigation import verify
    from ...agent.llm import anthropic as messages
    from ...agent.llm import openai as completions
    from ...agent.rescoring import evaluate
    from ...agent.review import report
    from ...agent.run import execute as run
    from ...agent.run import replay
    from ...tools import instruments
    from ...tools.index.shards import build_shard, merge
    from ..tiny_subject import miniature

    del anthropic, duckdb, langgraph, openai, pyarrow, investigation, run, verify
    del compositional, language_model, messages, completions, transformers
    del evaluate, main, replay, report, build_shard, merge
    torch.set_num_threads(1)
    instruments.instruments()
    return miniature()


def _run_child(subject: Subject, command: dict[str, Any]) -> None:
    from . import batch_steps

    status = 1
    try:
        os.environ |= key_variables(command["key"])
        _end_with_parent()
        if command["dies_at"]:
            batch_steps.die_at(command["dies_at"])
        status = _execute(subject, Path(command["run"]), command["limits"])
    finally:
        sys.stderr.flush()
        os._exit(status)  # without the clean-up of the fork server, of which this is a copy


def _run_command(_subject: Subject, command: dict[str, Any]) -> None:
    """Run a command line as the program does: what is raised prints a traceback."""
    from ...agent.cli.main import run_command_line

    status = 1
    try:
        os.environ |= {"HUBEL_CACHE": command["cache"]} | key_variables(command["key"])
        for path, stream in ((command["output"], 1), (command["output"] + ".err", 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
        signal.alarm(command["limit_s"])
        status = run_command_line(command["argv"])
    except SystemExit as leaving:  # argparse
        status = int(leaving.code or 0)
    except BaseException:  # noqa: BLE001  as the interpreter does at the end of a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run_index(subject: Subject, command: dict[str, Any]) -> None:
    from .shard_steps import execute

    status = 1
    try:
        _end_with_parent()
        execute(subject, command["index"])
        status = 0
    except BaseException:  # noqa: BLE001  as the interpreter does at the end of a process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _execute(subject: Subject, run: Path, limits: dict[str, float]) -> int:
    from ...agent.run.execute import execute_run
    from ...agent.runlog.model_config import BudgetConfig

    result = execute_run(run, subject=subject, limits=BudgetConfig(limits) if limits else None)
    if result.budget:
        return EXIT["budget"]
    return EXIT["failed"] if result.failed or result.pending else EXIT["done"]


def _end_with_parent() -> None:
    """End this child when the fork server has ended."""
    import threading
    import time

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
