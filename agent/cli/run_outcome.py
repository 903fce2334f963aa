"""What `run`, `resume` and `demo` share: execute a run to its end, and print what came out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import EngineChoice
from ..runlog.layout import PIECES, run_argument
from ..runlog.model_config import BudgetConfig
from ..runlog.progress import progress
from . import output
from .chosen_engine import chosen_engine
from .exit_status import BUDGET, DONE, SOME_FAILED
from .layers_table import show_layers
from .targets_table import show_targets

if TYPE_CHECKING:
    from ...tools.subject import Subject
    from ..run.execute import RunResult

LISTED = 1000
"""Targets that the table at the end of a run has at most."""


def finish(
    folder: Path,
    args: argparse.Namespace,
    subject: Subject | None = None,
    limits: BudgetConfig | None = None,
    choice: EngineChoice | None = None,
) -> int:
    """Execute a run to its end, print its table, and return the exit status.

    Args:
        limits: budget that takes precedence over the one in the run's configuration.
        choice: where targets are collected and investigated; None for this process.
    """
    from ..run.execute import execute_run

    with (
        continuable(folder),
        progress(quiet=args.quiet) as reporter,
        chosen_engine(choice, folder / PIECES, reporter, [folder]) as engine,
    ):
        result = execute_run(
            folder, reporter=reporter, subject=subject, limits=limits, engine=engine
        )
    _show(folder, result, args)
    resume = f"`hubel resume {run_argument(folder)}`"
    if result.budget:
        pending = output.count(result.pending, "target")
        output.note(
            f"hubel: {result.budget}; {pending} pending: {resume} continues, "
            "with a larger limit if you give one (--max-usd, --max-calls, ...)"
        )
        return BUDGET
    if result.failed or result.pending:
        targets = result.done + result.failed + result.pending
        pending = f" and {result.pending} are pending" if result.pending else ""
        output.note(
            f"hubel: {result.failed} of {output.count(targets, 'target')} failed{pending}; "
            f"`hubel show {run_argument(folder)}` says why, {resume} retries them"
        )
        return SOME_FAILED
    if result.failed_scores:
        scores = output.count(result.failed_scores, "score")
        output.note(
            f"hubel: {scores} of sentences failed (no verdict depends on "
            f"them); {resume} retries them"
        )
        return SOME_FAILED
    return DONE


def _show(folder: Path, result: RunResult, args: argparse.Namespace) -> None:
    """The table of a run; of very many targets, by layer."""
    if result.done + result.failed + result.pending <= LISTED or args.json:
        show_targets(folder, as_json=args.json)
        return
    show_layers(folder, as_json=False)
    output.note(f"`hubel show {run_argument(folder)}` lists all targets")


@contextmanager
def continuable(folder: Path) -> Iterator[None]:
    """After an interrupt, say how to continue the run of this folder."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"stopped; nothing is lost: `hubel resume {run_argument(folder)}` continues it"
        ) from interrupt
