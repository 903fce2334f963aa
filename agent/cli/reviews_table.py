"""What people said of a run's explanations: a table, JSON lines, or CSV for a spreadsheet."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...tools.errors import UsageError
from ..runlog.config import RunConfig
from ..runlog.layout import run_argument
from ..runlog.reviews import Reviews
from . import output

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that a spreadsheet would run; CSV has an apostrophe before them."""


def show_reviews(folder: Path, target: str | None, *, as_json: bool, as_csv: bool) -> None:
    """Print the reviews of a run, or of one target, that were not taken back, in the order of targets.

    Raises:
        UsageError: the run has no such target.
    """
    targets = RunConfig.load(folder).targets
    if target is not None and target not in targets:
        raise UsageError(
            f"{folder.name} has no target {target!r}; `hubel show {run_argument(folder)}` lists them"
        )
    reviews = Reviews(folder)
    # A person may have reviewed a target that the configuration no longer has.
    named = [target] if target else list(dict.fromkeys([*targets, *reviews.by_target()]))
    rows = [{"target": name, **review} for name in named for review in reviews.rows(name)]
    if as_json:
        for row in rows:
            output.json_line(row)
    elif as_csv:
        _write_csv(rows)
    elif rows:
        columns = (
            "target",
            "time",
            "name",
            "verdict",
            "select r",
            "elsewhere r",
            "after viewing",
            "text and note",
        )
        output.table(columns, [_cells(row) for row in rows], title="reviews", right=columns[4:6])
    else:
        output.line(
            f"no reviews of {target or folder.name} yet; `hubel review {run_argument(folder)}` takes them"
        )


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    scores = (output.two_decimals(_value(score)) for score in (row["score"], _elsewhere(row)))
    words = "; ".join(filter(None, (row["text"], row["predicate"], row["note"])))
    viewed = "yes" if row["after_viewing"] else "no"
    return (
        row["target"],
        row["time"][:19],
        row["name"],
        row["verdict"],
        *scores,
        viewed,
        words or None,
    )


def _write_csv(rows: list[dict[str, Any]]) -> None:
    """One row for each review, with a head; nothing is nested."""
    names = ("target", "time", "name", "verdict", "text", "predicate", "note", "after_viewing")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*names, "select_r", "select_low", "select_high", "elsewhere", "elsewhere_r"])
    for row in rows:
        score, elsewhere = row["score"] or {}, row["elsewhere"] or {}
        numbers = [score.get(key) for key in ("value", "low", "high")]
        cells = [
            *(row[name] for name in names),
            *numbers,
            elsewhere.get("corpus"),
            _value(_elsewhere(row)),
        ]
        writer.writerow([_inert(cell) for cell in cells])


def _inert(cell: Any) -> Any:
    """A cell that a spreadsheet shows and does not run."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _elsewhere(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The score of an edit on another corpus."""
    return (row["elsewhere"] or {}).get("score")


def _value(score: Mapping[str, Any] | None) -> float | None:
    return None if score is None else score.get("value")
