"""The command line: find the command, parse its options, and turn an error into an exit status.

`hubel --help` imports no command: names and help lines are in `COMMANDS`, and a test compares them
with the modules.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from keyword import iskeyword

from ... import __version__
from ...tools.errors import UsageError
from . import output
from .exit_status import DONE, FAILED, WRONG_USE, describe_error
from .parser import build_parser, closest

COMMANDS: dict[str, str] = {
    "doctor": "check what is installed, cached and reachable, and say what to do next",
    "demo": "the whole loop on the built-in subject, in minutes, ending in a report",
    "index": "run a subject over a corpus once: statistics and exemplars of every unit",
    "run": "explain targets and test each explanation on held-out text",
    "resume": "continue a run that was stopped",
    "replay": "recompute a run from its log, without subject, API key or network",
    "verify": "check the chain of a run's events and the hashes of its files",
    "runs": "list the runs",
    "show": "print a run's table, or one target",
    "review": "inspect and judge runs in the browser",
    "report": "write a run as one self-contained HTML file",
    "export": "write a run's explanations in the files of another tool, or as a table",
    "import": "keep another tool's explanations among the runs, to show and to score",
    "eval": "score a run's explanations, or a table of them, with any scorers",
    "bench": "are results good? planted, null, explanations, reading, circuits, studies; speed, scale, review, soak",
    "circuit": "the circuit of a task: tasks, run, latents, show, export, import; mediate, paths, attention; abstract",
    "study": "ask a question about a subject: probes, similarity, bias audits and more, with a verdict",
    "dictionary": "sparse autoencoders and transcoders: train one, check one against a subject, list them",
    "tool": "call any instrument",
    "watch": "watch units on a stream of texts or during generation; alarms when they drift",
    "mcp": "serve the instruments to any MCP client",
    "loopback": "a language-model server on this machine, to try a run without an API key",
    "cache": "list what is cached, with sizes; clear it",
}
"""A command and its line in `hubel --help`."""

IN_BENCH = ("bench", "loopback")
"""Commands whose files are in `bench/commands/`; all others are in `agent/cli/commands/`."""


def run_command_line(argv: Sequence[str], *, leave: Callable[[int], object] = int) -> int:
    """Run one command; returns its exit status. Only defects raise.

    Args:
        leave: called with the status after an interrupt while threads are still at work. The
            process's own entry point passes `os._exit`, since an interpreter that exits normally
            waits for its threads.
    """
    output.prepare_streams()
    debug = "--debug" in argv or bool(os.environ.get("HUBEL_DEBUG"))
    try:
        with _stopped_by(signal.SIGTERM):
            status = _dispatch(list(argv))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # the reader closed the pipe; else Python complains when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt as interrupt:
        status = _fail(FAILED, str(interrupt) or "stopped", debug)
        if threading.active_count() > 1:  # interrupted again while they finish
            sys.stdout.flush()
            leave(status)
        return status
    except Exception as error:  # an expected one is one line; a defect is raised again
        description = describe_error(error)
        if description is None:
            raise
        return _fail(*description, debug)


def _fail(status: int, line: str, debug: bool) -> int:
    if debug:
        output.note(traceback.format_exc().rstrip())
    output.note(f"hubel: {line}")
    return status


@contextmanager
def _stopped_by(number: signal.Signals) -> Iterator[None]:
    """Let a signal, such as a machine that shuts down sends, end a command as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _dispatch(argv: list[str]) -> int:
    """Run the command that the arguments name; returns its exit status."""
    if argv and argv[0] == "--debug":
        argv = argv[1:]
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return DONE if argv else WRONG_USE
    command = argv[0]
    if command in ("-V", "--version"):
        sys.stdout.write(f"hubel {__version__}\n")
        return DONE
    if command not in COMMANDS:
        suggestion = closest(command, COMMANDS)
        raise UsageError(f"unknown command {command!r}{suggestion}; `hubel --help` lists them")
    module = import_module(module_of(command))
    parser = build_parser(module)
    args = parser.parse_args(argv[1:])
    try:
        return module.run(args)
    except KeyboardInterrupt as interrupt:
        line = str(interrupt) or getattr(module, "INTERRUPTED", "stopped")
        raise KeyboardInterrupt(line) from interrupt


def module_of(command: str) -> str:
    """Name of the module that implements a command."""
    package = __name__.partition(".")[0]
    room = "bench" if command in IN_BENCH else "agent.cli"
    file = f"{command}_" if iskeyword(command) else command
    return f"{package}.{room}.commands.{file}"


def overview() -> str:
    """What `hubel --help` prints."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    return (
        "usage: hubel COMMAND [options]        hubel COMMAND --help        hubel --version\n\n"
        "hubel explains the neurons and circuits of a language model and tests every explanation "
        "on held-out text.\n\n"
        f"{rows}\n"
    )
