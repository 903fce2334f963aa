"""How often does an explainer explain what has no meaning? Null targets, controls and real units, in
one run.

1. Half of the nulls are Gaussian noise, half are real units' activations permuted over whole
   contexts. A fifth as many controls (rotated layer, redrawn weights) and as many real units are
   added. All are spread over four layers.
2. All go through one run, so that false discoveries are controlled as in every run.
3. Rates of kept targets come with Wilson intervals. A kept null is a false keep. A kept control is
   not: its rate, compared with the real units', says how much of a score is due to the layer's
   inputs rather than to what was learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from ..agent.runlog.config import RunConfig
from ..agent.runlog.nulls import is_control
from ..agent.runlog.verdict_score import verdict_score
from ..evals.statistics.fdr import wilson

if TYPE_CHECKING:
    from ..agent.runlog.views import TargetRow
    from ..tools.subject.address import Shape

LAYERS = 4


@dataclass(frozen=True)
class NullRow:
    """One target of the bench.

    Attributes:
        kind: noise, shuffled, rotated, redrawn or real.
        r: held-out r; None without an explanation to score.
    """

    target: str
    kind: str
    layer: int
    kept: bool
    r: float | None


class KindSummary(TypedDict):
    """All targets of one kind: how many are kept, with a Wilson interval, and their mean held-out r."""

    kind: str
    targets: int
    kept: int
    rate: float
    low: float
    high: float
    scored: int
    mean_r: float | None


def bench_layers(n_layers: int) -> list[int]:
    """Layers spread over the subject: near its start, at its thirds, and near its end."""
    if n_layers <= LAYERS:
        return list(range(n_layers))
    return sorted({1, n_layers // 3, 2 * n_layers // 3, n_layers - 2})


def null_config(
    index: str, shape: Shape, n_targets: int, *, seed: int = 0, **settings: Any
) -> RunConfig:
    """The configuration of the bench's run."""
    rng = np.random.default_rng([seed, n_targets])
    layers = bench_layers(shape.n_layers)
    n_real = max(len(layers), n_targets // 5)
    kinds = ["noise"] * (n_targets - n_targets // 2) + ["shuffled"] * (n_targets // 2)
    kinds += ["rotated"] * (n_real - n_real // 2) + ["redrawn"] * (n_real // 2)
    nulls: dict[str, str] = {}
    real: dict[str, None] = {}
    for number, kind in enumerate(kinds):
        layer = layers[number % len(layers)]
        neurons = shape.n_neurons if isinstance(shape.n_neurons, int) else shape.n_neurons[layer]
        source = f"mlp.{layer}.{rng.integers(neurons)}"
        null = f"{kind}:{source}" if kind in ("shuffled", "redrawn") else kind
        nulls[f"mlp.{layer}.{neurons + number // len(layers)}"] = null
        if len(real) < n_real:
            real[f"mlp.{layer}.{rng.integers(neurons)}"] = None
    settings |= {"index": index, "targets": [*nulls, *real], "nulls": nulls, "seed": seed}
    return RunConfig.from_settings(settings)


def bench_rows(config: RunConfig, targets: Sequence[TargetRow]) -> list[NullRow]:
    """The outcome of each target of the bench, from the rows of `views.target_rows`."""
    rows = []
    for row in targets:
        score = verdict_score(row)
        kind = config.nulls.get(row["target"], "real").partition(":")[0]
        r = None if score is None else score["value"]
        rows.append(NullRow(row["target"], kind, row["layer"], row["verdict"] == "kept", r))
    return rows


def summary(rows: Sequence[NullRow]) -> list[KindSummary]:
    """One line for all nulls and one per kind."""
    kinds = [*dict.fromkeys(row.kind for row in rows)]
    lines = [_line(kind, [row for row in rows if row.kind == kind]) for kind in kinds]
    nulls = [row for row in rows if row.kind != "real" and not is_control(row.kind)]
    return [_line("all nulls", nulls), *lines]


def _line(kind: str, rows: Sequence[NullRow]) -> KindSummary:
    kept = sum(row.kept for row in rows)
    rate = wilson(kept, len(rows))
    scored = [row.r for row in rows if row.r is not None]
    mean = float(np.mean(scored)) if scored else None
    return {"kind": kind, "targets": len(rows), "kept": kept, "rate": rate.value, "low": rate.low, "high": rate.high,
            "scored": len(scored), "mean_r": mean}  # fmt: skip


def real_minus_control(rows: Sequence[NullRow]) -> dict[int, float | None]:
    """Mean held-out r of real units minus that of controls, by layer; a target without a score counts as 0."""
    differences: dict[int, float | None] = {}
    for layer in sorted({row.layer for row in rows}):
        real = [row.r or 0.0 for row in rows if row.layer == layer and row.kind == "real"]
        control = [row.r or 0.0 for row in rows if row.layer == layer and is_control(row.kind)]
        differences[layer] = float(np.mean(real) - np.mean(control)) if real and control else None
    return differences
