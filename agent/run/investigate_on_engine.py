"""Investigations on the workers of an engine. This process hands out targets and writes the log.

1. Every pending target becomes a piece (`target_piece`).
2. When a piece has ended, its events go into the log in one go, the conclusion last, and then its
   file is deleted. If this process is killed in between, the file is found by its name and read
   again; if it was read already, the target is no longer pending, and the file is only deleted.
3. Of a target that failed, the log gets the failure and the journal. The next attempt begins with
   the first step, on whichever worker, or in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ...tools.errors import UnavailableError
from ..runlog.layout import PIECES
from ..runlog.log import Entry, EventName
from .investigate import show_progress, show_result
from .target_piece import (
    JOURNALED,
    TargetPiece,
    entries_text,
    journal_of,
    read_finding,
)
from .worker_run import RunInputs

if TYPE_CHECKING:
    from ..engine import Engine, PieceOutcome
    from ..investigation.context import InvestigationContext
    from ..runlog.log import RunLog
    from ..runlog.progress import Reporter
    from ..runlog.target_counts import EndedTargets


def investigate_on_engine(
    engine: Engine,
    context: InvestigationContext,
    targets: Sequence[str],
    reporter: Reporter,
    ended: EndedTargets,
    left_out: Iterable[str],
    meanwhile: Callable[[], None],
) -> None:
    """Investigate targets on an engine's workers; returns when all have ended.

    Args:
        ended: counts the targets of this and other parts.
        left_out: families of concepts that this process does not have (`RunResources.left_out`).
        meanwhile: called on a thread of its own, while the workers work.

    Raises:
        UnavailableError: a worker cannot do what the run needs, or none is left.
    """
    remove_read_outputs(context.log)
    pieces = target_pieces(context.log, targets, left_out)
    with ThreadPoolExecutor(1) as pool:
        background = pool.submit(meanwhile)
        for outcome in engine.run(pieces):
            target = str(outcome.piece.title)
            _write_down(context, target, outcome)
            outcome.piece.output.unlink(missing_ok=True)
            ended.add(target)
            show_result(context, target)
            show_progress(reporter, ended, engine.note, engine.workers)
        background.result()


def _write_down(context: InvestigationContext, target: str, outcome: PieceOutcome) -> None:
    """Add what came of a target to the log, in one go."""
    if outcome.error and not outcome.deaths:  # nothing that another target would be spared
        raise UnavailableError(f"{target}: {outcome.error}")
    if outcome.error:
        failure = {"error": outcome.error, "kind": "WorkerDied", "traceback": ""}
        context.log.write("failure", failure, target=target)
        return
    finding = read_finding(outcome.piece.output)
    context.clock.add_steps(finding.steps)
    entries = finding.entries
    if failed := [entry for entry in entries if entry[0].event == "failure"]:
        entries = journal_of(entries) + failed
    context.log.write_all(entries)


def target_pieces(
    log: RunLog, targets: Iterable[str], left_out: Iterable[str]
) -> Iterator[TargetPiece]:
    """The pieces of pending targets, in their order, each made when a worker takes it."""
    inputs = RunInputs.of(log, left_out)
    return (TargetPiece(inputs, target, entries_text(_journal(log, target))) for target in targets)


def _journal(log: RunLog, target: str) -> list[Entry]:
    """What the log has of a target's journal."""
    return [
        (EventName(event, target, id), data)
        for event in JOURNALED
        for id, data in log.all(event, target).items()
    ]


def remove_read_outputs(log: RunLog) -> None:
    """Delete the outputs of targets that the log has: a driver was killed before it deleted them."""
    for path in (log.folder / PIECES).glob("*.json"):
        target = next((name.target for name, _ in read_finding(path).entries), None)
        if target is not None and log.has("conclusion", target):
            path.unlink()
