"""The summary of a run by layer: how many targets of each are explained, how, and how well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypedDict

from ...tools.subject.address import Unit
from ..runlog.spending import spending_summary
from ..runlog.tiers import TIERS
from ..runlog.verdict_score import random_text_scores, verdict_score
from . import output

if TYPE_CHECKING:
    from ..runlog.views import TargetRow

COUNTED = ("targets", "kept", "rejected", "inconclusive", "failed", "pending")


class LayerRow(TypedDict):
    """The targets of one kind in one layer. Medians are over those that have the score."""

    site: str
    layer: int
    targets: int
    kept: int
    rejected: int
    inconclusive: int
    failed: int
    pending: int
    tiers: dict[str, int]
    r: float | None
    """Median held-out r."""
    meaning: float | None
    """Median held-out r of the named concepts alone."""


def layer_rows(targets: Iterable[TargetRow]) -> list[LayerRow]:
    """One row for each kind of unit and layer, in the order of the layers."""
    groups: dict[tuple[int, str], list[TargetRow]] = {}
    for row in targets:
        groups.setdefault((row["layer"], Unit.parse(row["target"]).site), []).append(row)
    return [_layer_row(site, layer, groups[layer, site]) for layer, site in sorted(groups)]


def _layer_row(site: str, layer: int, rows: Sequence[TargetRow]) -> LayerRow:
    verdicts = Counter(row["verdict"] for row in rows)
    status = Counter(row["status"] for row in rows)
    tiers = Counter(row["tier"] for row in rows)
    whole = [score["value"] for row in rows if (score := verdict_score(row))]
    scores = (random_text_scores(row) for row in rows)
    meaning = [of["meaning"]["value"] for of in scores if "meaning" in of]
    return {
        "site": site,
        "layer": layer,
        "targets": len(rows),
        "kept": verdicts["kept"],
        "rejected": verdicts["rejected"],
        "inconclusive": verdicts["inconclusive"],
        "failed": status["failed"],
        "pending": status["pending"],
        "tiers": {name: tiers[name] for name in TIERS},
        "r": median(whole) if whole else None,
        "meaning": median(meaning) if meaning else None,
    }


def show_layers(folder: Path, *, as_json: bool) -> None:
    """A run's targets by layer: JSON lines, or a table and a line of costs."""
    from ..runlog.views import calls_before_run, target_rows

    targets = target_rows(folder)
    rows = layer_rows(targets)
    if as_json:
        for row in rows:
            output.json_line(row)
        return
    columns = ("layer", *COUNTED, *TIERS, "median r", "meaning")
    output.table(columns, [_cells(row) for row in rows], right=columns[1:])
    line = f"{output.count(len(targets), 'target')} in {output.count(len(rows), 'layer')}"
    output.line(line + spending_summary(list(targets), calls_before_run(folder)))


def _cells(row: LayerRow) -> tuple[object, ...]:
    counts = [row[name] for name in COUNTED]
    medians = _number(row["r"]), _number(row["meaning"])
    return f"{row['site']}.{row['layer']}", *counts, *row["tiers"].values(), *medians


def _number(value: float | None) -> str | None:
    return None if value is None else output.two_decimals(value)
