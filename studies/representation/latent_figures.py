"""Figures of a latent circuit: f by size, effects of nodes, and estimates against exact effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...evals.statistics.faithfulness import compare_with_exact
from ..figures import BarChart, Figure, LinePlot, PlottedLine, ScatterPlot
from .latent_faithfulness import SizedRun, f_of, ratio
from .latent_layout import NodeLayout

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHOWN = 30
"""Latents of a bar chart; all effects are in the run's `measured/effects.npz`."""


def sizes_figure(sizes: Sequence[SizedRun]) -> Figure:
    """f on discovery prompts over the number of latents."""
    ends = sizes[0].metrics
    at = [float(size) for size, _ in sizes]
    lines = [
        PlottedLine(title, at, [f_of(ends, metrics[run]).value for _, metrics in sizes])
        for title, run in (("with error nodes", "circuit"), ("without", "without errors"))
    ]
    return LinePlot("sizes", "Faithfulness on discovery prompts", "latents", "f", lines)


def nodes_figure(layout: NodeLayout, effects: Float[np.ndarray, "prompts node"], n: int) -> Figure:
    """Effects of the error nodes and of the circuit's strongest latents, largest first."""
    mean = effects.mean(0)
    shown = np.flatnonzero(layout.strongest(mean, min(n, SHOWN)) | layout.is_error)
    shown = shown[np.argsort(-np.abs(mean[shown]), kind="stable")]
    intervals = [ratio(effects[:, node]) for node in shown]
    return BarChart(
        "nodes",
        "Effect of ablating one node (negative: it helps the answer)",
        "change of the logit difference",
        [layout.name(int(node)) for node in shown],
        [each.value for each in intervals],
        [each.low for each in intervals],
        [each.high for each in intervals],
    )


def single_figure(
    layout: NodeLayout,
    effects: Float[np.ndarray, "prompts node"],
    which: Int[np.ndarray, " some"],
    exact: Float[np.ndarray, "prompts some"],
) -> Figure:
    """Estimates against runs in which one node is ablated, on the same prompts."""
    estimated = effects[: len(exact), which].mean(0)
    measured = exact.mean(0)
    fit = compare_with_exact(estimated, measured)
    r = "none" if np.isnan(fit.pearson) else f"{fit.pearson:.3f}"
    signs = f"{fit.sign_errors:.0%} wrong signs"
    return ScatterPlot(
        "single-nodes",
        f"Estimated and exact effects of {len(which)} nodes: Pearson r {r}, {signs}",
        "estimate",
        "exact",
        estimated.tolist(),
        measured.tolist(),
        [layout.name(int(node)) for node in which],
    )
