"""What `run`, `resume`, `demo` and `show` share: execute a run to its end, and print what came out."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..runlog.headline import headline_score
from ..runlog.model_config import BudgetConfig
from ..runlog.progress import progress
from ..runlog.reviews import Reviews
from ..runlog.spending import spending_summary
from . import output
from .exit_status import BUDGET, DONE, SOME_FAILED

if TYPE_CHECKING:
    from ...tools.subject import Subject
    from ..runlog.views import TargetRow

COLUMNS = (
    "target",
    "side",
    "held-out r",
    "95 % interval",
    "token lookup",
    "p",
    "verdict",
    "explanation",
)


def finish(
    folder: Path,
    args: argparse.Namespace,
    subject: Subject | None = None,
    limits: BudgetConfig | None = None,
) -> int:
    """Execute a run to its end, print its table, and return the exit status.

    Args:
        limits: budget that takes precedence over the one in the run's configuration.
    """
    from ..run.execute import execute_run

    with continuable(folder), progress(quiet=args.quiet) as reporter:
        result = execute_run(folder, reporter=reporter, subject=subject, limits=limits)
    show_targets(folder, as_json=args.json)
    resume = f"`hubel resume {folder.name}`"
    if result.budget:
        output.note(
            f"hubel: {result.budget}; {result.pending} targets are pending: {resume} continues, "
            "with a larger limit if you give one (--max-usd, --max-calls, ...)"
        )
        return BUDGET
    if result.failed or result.pending:
        targets = result.done + result.failed + result.pending
        pending = f" and {result.pending} are pending" if result.pending else ""
        output.note(
            f"hubel: {result.failed} of {targets} targets failed{pending}; "
            f"`hubel show {folder.name}` says why, {resume} retries them"
        )
        return SOME_FAILED
    if result.failed_scores:
        output.note(
            f"hubel: {result.failed_scores} scores of sentences failed (no verdict depends on "
            f"them); {resume} retries them"
        )
        return SOME_FAILED
    return DONE


@contextmanager
def continuable(folder: Path) -> Iterator[None]:
    """After an interrupt, say how to continue the run of this folder."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"stopped; nothing is lost: `hubel resume {folder.name}` continues it"
        ) from interrupt


def show_targets(folder: Path, *, as_json: bool) -> None:
    """A run's targets: JSON lines, or a table and a line of totals."""
    from ..runlog.views import calls_before_run, target_rows

    targets = target_rows(folder)
    if as_json:
        reviews = Reviews(folder)
        for row in targets:
            output.json_line({**row, "reviews": reviews.rows(row["target"])})
        return
    output.table(COLUMNS, [_cells(row) for row in targets], right=COLUMNS[2:6])
    output.line(summary(targets, calls_before_run(folder)))


def _cells(row: TargetRow) -> tuple[object, ...]:
    failure = row["error"] and f"failed: {row['error']}"
    explanation = row["explanation"] or failure or row["reason"]
    begin = (row["target"], row["side"])
    score = headline_score(row)
    if score is None:
        return (*begin, None, None, None, None, row["verdict"] or row["status"], explanation)
    interval = None if score["low"] is None else f"{score['low']:.2f} to {score['high']:.2f}"
    r, lookup = output.two_decimals(score["value"]), score["floors"]["token_lookup"]
    p = f"{row['p']:.1g}" if row["p"] is not None else None
    return (*begin, r, interval, output.two_decimals(lookup), p, row["verdict"], explanation)


def summary(targets: Sequence[TargetRow], checks: int = 0) -> str:
    """One line: verdicts, failures, the mean held-out score, and what language models cost.

    Args:
        checks: requests that checked the models before the run.
    """
    verdicts = Counter(row["verdict"] for row in targets)
    status = Counter(row["status"] for row in targets)
    counts = {name: verdicts[name] for name in ("kept", "rejected", "inconclusive")}
    # "pending" of a verdict: the target has ended, but others have not
    counts |= {"explained without a verdict yet": verdicts["pending"]}
    counts |= {name: status[name] for name in ("failed", "pending")}
    parts = [f"{n} {name}" for name, n in counts.items() if n or name == "kept"]
    line = f"{len(targets)} targets: {', '.join(parts)}"
    scores = [score["value"] for row in targets if (score := headline_score(row))]
    if scores:
        mean = sum(scores) / len(scores)
        line += f"; mean held-out r {mean:.3f} over {len(scores)} of {len(targets)} targets"
    return line + spending_summary(list(targets), checks)
