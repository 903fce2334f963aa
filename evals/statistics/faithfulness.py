"""How well a circuit does the whole model's work: rows of metrics in, statistics out.

    f = (m(circuit) - m(nothing)) / (m(model) - m(nothing))

m is a metric's mean over prompts; "nothing" is the run with every edge ablated. Over MIB's ten
sizes CMD is the area of |1 - f| (0 is best) and CPR the area under f (can exceed 1, so that it
rewards what overshoots). Source: Mueller et al. 2025 (MIB, arXiv 2504.13151).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of all edges."""

RESAMPLES = 2000


class PromptInterval(NamedTuple):
    """A value with its 95 % percentile interval over prompts."""

    value: float
    low: float
    high: float


class Curve(NamedTuple):
    """Faithfulness at some sizes, with its two areas."""

    sizes: tuple[float, ...]
    f: tuple[float, ...]
    cmd: float
    cpr: float


def faithfulness(
    circuit: Float[np.ndarray, " pairs"],
    model: Float[np.ndarray, " pairs"],
    nothing: Float[np.ndarray, " pairs"],
) -> float:
    """f of one circuit.

    Raises:
        ValueError: model and nothing do not differ, so that f is not defined.
    """
    whole = float(np.mean(model) - np.mean(nothing))
    if whole == 0:
        raise ValueError(
            "the model's metric is that of the ablated state; faithfulness is not defined"
        )
    return float(np.mean(circuit) - np.mean(nothing)) / whole


def faithfulness_interval(
    circuit: Float[np.ndarray, " pairs"],
    model: Float[np.ndarray, " pairs"],
    nothing: Float[np.ndarray, " pairs"],
    seed: int = 0,
) -> PromptInterval:
    """f with a bootstrap over prompts; all three metrics of a prompt are drawn together."""
    draws = np.random.default_rng(seed).integers(0, len(circuit), (RESAMPLES, len(circuit)))
    low, middle, high = (
        np.asarray(values, dtype=float)[draws].mean(1) for values in (nothing, circuit, model)
    )
    whole = high - low
    values = (middle - low)[whole != 0] / whole[whole != 0]
    return PromptInterval(
        faithfulness(circuit, model, nothing),
        *(float(q) for q in np.quantile(values, [0.025, 0.975])),
    )


def faithfulness_curve(sizes: Sequence[float], f: Sequence[float]) -> Curve:
    """The two areas, by trapezoids over the share of edges."""
    x, y = np.asarray(sizes, dtype=float), np.asarray(f, dtype=float)
    return Curve(
        tuple(sizes),
        tuple(float(v) for v in y),
        float(np.trapezoid(np.abs(1 - y), x)),
        float(np.trapezoid(y, x)),
    )


class Calibration(NamedTuple):
    """Estimated effects beside exact ones.

    Attributes:
        sign_errors: share of those with an exact effect whose estimate has the other sign.
        top_overlap: share of the `k` largest exact effects among the `k` largest estimates, by size.
    """

    n: int
    pearson: float
    spearman: float
    sign_errors: float
    top_overlap: float
    k: int


def compare_with_exact(
    estimated: Float[np.ndarray, " n"], exact: Float[np.ndarray, " n"], k: int = 20
) -> Calibration:
    """How far estimates may be believed; correlations are nan where one side does not vary."""
    from scipy.stats import rankdata

    k = min(k, len(exact))
    there = exact != 0
    wrong = np.sign(estimated[there]) != np.sign(exact[there])
    top = [
        set(np.argsort(-np.abs(values), kind="stable")[:k].tolist())
        for values in (estimated, exact)
    ]
    return Calibration(
        len(exact),
        _correlation(estimated, exact),
        _correlation(rankdata(estimated), rankdata(exact)),
        float(wrong.mean()) if there.any() else 0.0,
        len(top[0] & top[1]) / k,
        k,
    )


def jaccard(one: Bool[np.ndarray, "*shape"], two: Bool[np.ndarray, "*shape"]) -> float:
    """Shared edges over all edges of two circuits; 1 for two empty ones."""
    union = int((one | two).sum())
    return int((one & two).sum()) / union if union else 1.0


def _correlation(one: Float[np.ndarray, " n"], two: Float[np.ndarray, " n"]) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return float("nan")
    return float(np.corrcoef(one, two)[0, 1])
