"""The table of `hubel bench explanations`: means over the targets of each layer and kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .measure import ExplanationRow

MEASURED = ("r", "list", "meaning", "unseen", "rare", "r3", "p50", "named", "listed", "bits")
"""Figures whose means are shown."""


def summary(rows: Sequence[ExplanationRow]) -> list[dict[str, Any]]:
    """A line for each kind and layer, and one for each kind over all layers (layer None)."""
    lines: list[dict[str, Any]] = []
    for kind in dict.fromkeys(row.kind for row in rows):
        of_kind = [row for row in rows if row.kind == kind]
        layers = sorted({row.layer for row in of_kind}) if kind != "head" else []
        for layer in layers:
            lines.append(_line(kind, layer, [row for row in of_kind if row.layer == layer]))
        lines.append(_line(kind, None, of_kind))
    return lines


def _line(kind: str, layer: int | None, rows: Sequence[ExplanationRow]) -> dict[str, Any]:
    means = {name: mean(row.figures[name] for row in rows) for name in MEASURED}
    differences = (_minus(row.figures["r"], row.figures["list"]) for row in rows)
    return {
        "kind": kind,
        "layer": layer,
        "targets": len(rows),
        **means,
        "r_minus_list": mean(differences),
        "half_r": mean(row.half_r for row in rows),
        "half_shared": mean(row.half_shared for row in rows),
        "seconds": mean(row.seconds for row in rows),
    }


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known, to four digits; None if nothing is."""
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
