"""The table of `hubel bench explanations`: means over the targets of each layer and kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...agent.runlog.tiers import TIERS
from ...evals.scorers.registry import FORMULA_SCORERS
from ...evals.verdict import Verdict
from .figures import verdicts_of
from .measure import ExplanationRow

MEASURED = ("r", "list", *FORMULA_SCORERS, "named", "listed", "bits")
"""Figures whose means are shown."""


def verdicts_by_target(rows: Sequence[ExplanationRow]) -> dict[str, Verdict]:
    """The verdicts of one run of all real units, and of one of all rotated directions."""
    verdicts: dict[str, Verdict] = {}
    for rotated in (False, True):
        chosen = [row for row in rows if (row.kind == "rotated") == rotated]
        decided = verdicts_of([row.target for row in chosen], [row.figures for row in chosen])
        verdicts |= {verdict.target: verdict for verdict in decided}
    return verdicts


def summary(rows: Sequence[ExplanationRow]) -> list[dict[str, Any]]:
    """A line for each kind and layer, and one for each kind over all layers (layer None)."""
    verdicts = verdicts_by_target(rows)
    lines: list[dict[str, Any]] = []
    for kind in dict.fromkeys(row.kind for row in rows):
        of_kind = [row for row in rows if row.kind == kind]
        layers = sorted({row.layer for row in of_kind}) if kind != "head" else []
        for layer in layers:
            of_layer = [row for row in of_kind if row.layer == layer]
            lines.append(_line(kind, layer, of_layer, verdicts))
        lines.append(_line(kind, None, of_kind, verdicts))
    return lines


def _line(
    kind: str, layer: int | None, rows: Sequence[ExplanationRow], verdicts: dict[str, Verdict]
) -> dict[str, Any]:
    tiers = Counter(verdicts[row.target].tier for row in rows)
    kept = [row for row in rows if verdicts[row.target].verdict == "kept"]
    figures = {name: mean(row.figures[name] for row in rows) for name in MEASURED}
    half_r, half_shared = mean(r.half_r for r in rows), mean(r.half_shared for r in rows)
    below_list = [row for row in kept if (row.figures["over_list"] or 0) < 0]
    return {
        "kind": kind,
        "layer": layer,
        "targets": len(rows),
        **figures,
        "r_minus_list": mean([row.figures["over_list"] for row in rows]),
        "half_r": half_r,
        "half_shared": half_shared,
        "kept": len(kept),
        "kept_below_list": len(below_list),
        "tiers": {tier: tiers[tier] for tier in TIERS},
        "seconds": mean([row.seconds for row in rows]),
    }


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known, to four digits; None if nothing is."""
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
