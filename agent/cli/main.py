"""The command line: find the command, parse its options, turn what went wrong into one line and an
exit status.

    0   done
    1   anything else
    2   wrong use, with what to do
    3   budget reached; resumable
    4   some targets failed; resumable

`hubel --help` imports no command: names and help stand in `COMMANDS`, and a test holds them to the
modules.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from ... import __version__
from ...tools.errors import ArgumentError, BudgetReached, HubelError, UsageError
from . import options

DONE, FAILED, WRONG_USE, BUDGET, SOME_FAILED = 0, 1, 2, 3, 4


COMMANDS: dict[str, str] = {
    "doctor": "what is installed, cached, reachable, and what to do next",
    "demo": "the whole loop on the embedded default, in minutes, ending in a page to open",
    "index": "one pass of a subject over a corpus: statistics and exemplars of every unit",
    "run": "explain targets and test each explanation on held-out text",
    "resume": "go on with a run that was stopped",
    "replay": "compute a run again from its log, without subject, key or network",
    "runs": "list the runs",
    "show": "a run's table, or one target, in the terminal",
    "review": "read, doubt and decide: runs in the browser",
    "report": "one self-contained HTML file of a run",
    "eval": "score a run's explanations, or a table of them, by any scorers",
    "bench": "runs with a known right answer: planted, null, circuits; speed, review, soak",
    "circuit": "the circuit of a task: tasks, run, show; its parts: mediate, paths, attention; abstract",
    "tool": "any instrument by hand",
    "mcp": "the instruments for any MCP client",
    "loopback": "a language-model server on this machine, to try a run without a key",
    "cache": "what is cached and how large it is; clear it",
}
"""A command and its line in `hubel --help`."""
IN_BENCH = ("bench", "loopback")
"""Commands whose files are in `bench/commands/`; all others are in `agent/cli/commands/`."""

READABLE_ERRNO = {
    errno.ENOSPC: "no space left on the disk; free some (`hubel cache` shows what hubel keeps), then do it again",
    errno.EDQUOT: "the disk quota is used up; free some space (`hubel cache` shows what hubel keeps), then do it again",
    errno.EACCES: "no permission; choose a place that you may write to (--runs, --out, HUBEL_CACHE)",
    errno.EPERM: "not permitted; choose a place that you may write to (--runs, --out, HUBEL_CACHE)",
    errno.EROFS: "the file system is read-only; choose another place (--runs, --out, HUBEL_CACHE)",
}
DISK_FULL = ("no space left on device", "database or disk is full")
"""How libraries that raise no OSError (safetensors, sqlite, duckdb) say that the disk is full."""


def run_command_line(argv: Sequence[str], *, leave: Callable[[int], object] = int) -> int:
    """Run one command; returns its exit status. Only defects raise.

    Args:
        leave: called with the status after an interrupt while threads are still at work. The process's own entry ends
            it there (`os._exit`), since an interpreter that exits waits for them; whoever embeds
            this need not.
    """
    debug = "--debug" in argv or bool(os.environ.get("HUBEL_DEBUG"))
    try:
        status = _dispatch(list(argv))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else Python complains while it exits
        return FAILED
    except KeyboardInterrupt as stop:
        status = _fail(FAILED, str(stop) or "stopped", debug)
        if threading.active_count() > 1:  # interrupted again while they finish
            sys.stdout.flush()
            leave(status)
        return status
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        return _fail(*explained, debug)


def explain(error: Exception) -> tuple[int, str] | None:
    """Exit status and one line for an error whose cause is outside hubel; None for a defect, so that it shows."""
    if isinstance(error, HubelError):
        return _status(error), " ".join(str(error).split())
    if any(sign in str(error).lower() for sign in DISK_FULL):
        return FAILED, READABLE_ERRNO[errno.ENOSPC]
    if isinstance(error, OSError):
        return FAILED, _explain_os_error(error)
    return None


def _status(error: HubelError) -> int:
    if isinstance(error, BudgetReached):
        return BUDGET
    return WRONG_USE if isinstance(error, (UsageError, ArgumentError)) else FAILED


def _explain_os_error(error: OSError) -> str:
    what = (
        READABLE_ERRNO.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    )
    line = " ".join(what.split())
    return f"{error.filename}: {line}" if error.filename else line


def _fail(status: int, line: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"hubel: {line}\n")
    return status


def _dispatch(argv: list[str]) -> int:
    if argv and argv[0] == "--debug":
        argv = argv[1:]
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return DONE if argv else WRONG_USE
    if argv[0] in ("-V", "--version"):
        sys.stdout.write(f"hubel {__version__}\n")
        return DONE
    if argv[0] not in COMMANDS:
        raise UsageError(
            f"unknown command {argv[0]!r}{closest(argv[0], COMMANDS)}; `hubel --help` lists them"
        )
    module = import_module(module_of(argv[0]))
    args = build_parser(module).parse_args(argv[1:])
    try:
        return module.run(args)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(getattr(module, "INTERRUPTED", "stopped")) from stop


def module_of(command: str) -> str:
    """Name of the module that a command lives in."""
    package = __name__.partition(".")[0]
    room = "bench" if command in IN_BENCH else "agent.cli"
    return f"{package}.{room}.commands.{command}"


def overview() -> str:
    """What `hubel --help` prints."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    return (
        "usage: hubel COMMAND [options]        hubel COMMAND --help        hubel --version\n\n"
        "hubel explains the neurons of a language model and tests every explanation on text that nobody looked at.\n\n"
        f"{rows}\n"
    )


def build_parser(module: ModuleType) -> argparse.ArgumentParser:
    """A command's parser: the common options, then its own, which may redefine a common one."""
    parser = Parser(
        prog=f"hubel {module.NAME}",
        description=module.HELP,
        allow_abbrev=False,
        conflict_handler="resolve",
    )
    options.add_common(parser)
    module.add_arguments(parser)
    return parser


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are UsageErrors with a suggestion."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` says how")

    def parse_args(self, args=None, namespace=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown[0], getattr(parsed, "action", None))
        return parsed

    def _refuse(self, given: str, action: str | None) -> NoReturn:
        """Say what is wrong with an argument: of another action, misspelt, or none at all."""
        option, actions = given.split("=")[0], self._parsers()
        chosen = actions.get(action or "", self)
        if owners := [
            parser.prog
            for name, parser in actions.items()
            if option in parser._known() and name != action
        ]:
            chosen.error(
                f"{option} belongs to {' and '.join(f'`{owner}`' for owner in owners)}, not to `{chosen.prog}`"
            )
        chosen.error(f"unknown argument {given!r}{closest(option, chosen._known())}")

    def _known(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _parsers(self) -> dict[str, Parser]:
        """The parsers of a command's actions, by name."""
        choices = [
            action.choices
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
        ]
        return dict(choices[0]) if choices else {}


def closest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the known word that is most like this one, or nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""
