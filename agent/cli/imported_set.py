"""An imported set in the terminal: its row among the runs, its table, and one of its units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import UsageError
from ..runlog.layout import run_argument
from . import output
from .output import two_decimals

if TYPE_CHECKING:
    from ..exchange.records import ExplainedUnit, ExplanationSet, RecordedScore

SHOWN_TEXTS = 6
SHOWN_UNITS = 200
"""Units of a set that a terminal lists; `--json` has them all."""


def print_head(folder: Path, imported: ExplanationSet) -> None:
    """Where a set is from, what must read it, what is missing from its files."""
    from ..exchange.formulas import words_only

    explained, in_words = len(imported.explained), words_only(imported)
    origin = imported.origin
    if in_words:
        output.line(
            f"{in_words} of {output.count(explained, 'explanation')} are words only, which a judge has "
            f"to read: hubel eval {run_argument(folder)} --index I --judge MODEL"
        )
    about = ", ".join(filter(None, (origin.tool, origin.subject, origin.corpus, origin.explainer)))
    output.line(
        f"{folder.name}: {output.count(len(imported), 'unit')}, {explained} explained, from "
        f"{origin.path} ({origin.format}{f': {about}' if about else ''})"
    )
    for line in imported.missing:
        output.line(f"  not in the files: {line}")
    for line in imported.notes:
        output.line(f"  note: {line}")


def show_imported(folder: Path, unit: str | None, *, as_json: bool) -> None:
    """Print a set, or one of its units."""
    from ..exchange.imported import read_set
    from ..exchange.records import unit_row

    imported = read_set(folder)
    chosen = [one for one in imported if unit is None or one.unit == unit]
    if not chosen:
        raise UsageError(
            f"{folder.name} has no unit {unit!r}; `hubel show {run_argument(folder)}` lists them"
        )
    if as_json:
        for one in chosen:
            output.json_line(unit_row(one))
    elif unit is not None:
        _show_unit(chosen[0])
    else:
        print_head(folder, imported)
        _show_units(chosen)


def _show_units(units: list[ExplainedUnit]) -> None:
    columns = ("unit", "score", "value", "scores", "texts", "explanation")
    cells = []
    for unit in units[:SHOWN_UNITS]:
        first = unit.scores[0] if unit.scores else None
        name, value = (first.name, two_decimals(first.value)) if first else (None, None)
        words = unit.sentence or f"({unit.status}) {unit.error or unit.reason}"
        cells.append((unit.unit, name, value, len(unit.scores), len(unit.texts), words))
    output.table(columns, cells, right=columns[2:5])
    if len(units) > SHOWN_UNITS:
        output.line(f"and {len(units) - SHOWN_UNITS} more; --json has them all")


def _show_unit(unit: ExplainedUnit) -> None:
    output.line(f"{unit.unit}: {' '.join(filter(None, (unit.tier, unit.verdict or unit.status)))}")
    for line in (unit.headline, unit.sentence or unit.error or "no explanation", unit.reason):
        if line:
            output.line(f"  {line}")
    if unit.gist:
        output.line(f"  in the model's words: {unit.gist}")
    output.line(f"  predicate: {unit.predicate or 'none: a judge has to read the words'}")
    if unit.place:
        output.line(f"  in its file: {unit.place}")
    if unit.scores:
        columns = ("scorer", "split", "text", "value", "low", "high", "judge")
        cells = [_score_cells(score) for score in unit.scores]
        output.table(columns, cells, title="scores", right=columns[3:6])
    for text in unit.texts[:SHOWN_TEXTS]:
        peak = f" {text.values[text.peak]:.3g} at {text.tokens[text.peak]!r}" if text.values else ""
        output.line(f"  [{text.role}{f', {text.group}' if text.group else ''}]{peak}: {text.text}")
    if len(unit.texts) > SHOWN_TEXTS:
        output.line(f"  and {len(unit.texts) - SHOWN_TEXTS} more texts")


def _score_cells(score: RecordedScore) -> tuple[object, ...]:
    numbers = (two_decimals(value) for value in (score.value, score.low, score.high))
    return (score.scorer, score.split, score.text, *numbers, score.judge or None)


def row_of_imported(folder: Path) -> dict[str, Any]:
    """The row of a set in `hubel runs`."""
    from ..exchange.imported import read_set

    imported = read_set(folder)
    failed = sum(unit.status == "failed" for unit in imported)
    return {
        "subject": imported.origin.subject or None,
        "explainer": f"imported ({imported.origin.format})",
        "targets": len(imported),
        "done": len(imported.explained),
        "failed": failed,
        "kept": 0,
        "rejected": 0,
        "inconclusive": 0,
        "mean_r": None,
    }
