"""What `run`, `resume`, `demo` and `bench` share: work on a run to its end and say how it went."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..runlog.model_config import BudgetConfig
from ..runlog.progress import progress
from ..runlog.spending import spent
from . import output


def finish(
    folder: Path, args: argparse.Namespace, subject: Any = None, limits: BudgetConfig | None = None
) -> int:
    """Work on a run until it ends; the exit status of the contract. `limits` stand before those of the run's file."""
    from ..run.execute import execute_run
    from .main import BUDGET, DONE, SOME_FAILED

    with progress(quiet=args.quiet) as reporter:
        result = execute_run(folder, reporter=reporter, subject=subject, limits=limits)
    show_rows(folder, as_json=args.json)
    if result.budget:
        sys.stderr.write(
            f"hubel: {result.budget}; {result.pending} targets are pending: `hubel resume {folder.name}` goes on, with "
            "a larger limit if you give one (--max-usd, --max-calls, ...)\n"
        )
        return BUDGET
    if result.failed or result.pending:
        sys.stderr.write(
            f"hubel: {result.failed} of {result.done + result.failed + result.pending} targets failed; "
            f"`hubel show {folder.name}` says why, `hubel resume {folder.name}` tries them again\n"
        )
        return SOME_FAILED
    if result.failed_scores:
        sys.stderr.write(
            f"hubel: {result.failed_scores} scores of sentences failed (verdicts do not rest on them); "
            f"`hubel resume {folder.name}` asks again\n"
        )
        return SOME_FAILED
    return DONE


def show_rows(folder: Path, *, as_json: bool) -> None:
    """A run's targets: JSON lines, or a table and a line of totals."""
    from ..runlog.views import rows

    found = rows(folder)
    if as_json:
        for row in found:
            output.json_line(row)
        return
    output.table(
        (
            "target",
            "side",
            "explanation",
            "held-out r",
            "95 % interval",
            "token lookup",
            "p",
            "verdict",
        ),
        [_cells(row) for row in found],
        right=("held-out r", "95 % interval", "token lookup", "p"),
    )
    output.line(summary(found))


def headline(row: dict[str, Any]) -> dict[str, Any] | None:
    """The score that a verdict rests on: simulation on random text of holdout, of the sentence where that is all."""
    found = {
        s["scorer"]: s for s in row["scores"] if (s["split"], s["text"]) == ("holdout", "random")
    }
    return found.get("simulation" if row["predicate"] else "llm_simulation")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    score = headline(row)
    what = row["explanation"] or (row["error"] and f"failed: {row['error']}") or row["reason"]
    if score is None:
        return (
            row["target"],
            row["side"],
            what,
            None,
            None,
            None,
            None,
            row["verdict"] or row["status"],
        )
    interval = None if score["low"] is None else f"{score['low']:.2f} to {score['high']:.2f}"
    lookup = score["floors"]["token_lookup"]
    p = f"{row['p']:.1g}" if row["p"] is not None else None
    return (
        row["target"],
        row["side"],
        what,
        f"{score['value']:.2f}",
        interval,
        None if lookup is None else f"{lookup:.2f}",
        p,
        row["verdict"],
    )


def summary(found: list[dict[str, Any]]) -> str:
    """One line: verdicts, failures, and the mean held-out score over all targets that have one."""
    counts = {
        v: sum(r["verdict"] == v for r in found)
        for v in ("kept", "rejected", "inconclusive", "pending")
    }
    parts = [f"{n} {v}" for v, n in counts.items() if n or v == "kept"]
    if failed := sum(r["status"] == "failed" for r in found):
        parts.append(f"{failed} failed")
    scores = [s["value"] for r in found if (s := headline(r))]
    mean = (
        f"; mean held-out r {sum(scores) / len(scores):.3f} over {len(scores)} of {len(found)} targets"
        if scores
        else ""
    )
    return f"{len(found)} targets: {', '.join(parts)}{mean}{spent(found)}"
