"""How well a circuit reproduces the whole model: rows of metrics in, statistics out.

    f = (m(circuit) - m(nothing)) / (m(model) - m(nothing))

m is a metric's mean over prompts; "nothing" is the run with every edge ablated. Over MIB's ten
sizes CMD is the area of |1 - f| (0 is best) and CPR the area under f (it can exceed 1 and rewards
overshooting). Source: Mueller et al. 2025 (MIB, arXiv 2504.13151).
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
        ValueError: model and nothing do not differ, so f is undefined.
    """
    whole = float(np.mean(model) - np.mean(nothing))
    if whole == 0:
        raise ValueError(
            "the model's metric equals that of the ablated state; faithfulness is undefined"
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
    m_nothing, m_circuit, m_model = (
        np.asarray(values, dtype=float)[draws].mean(1) for values in (nothing, circuit, model)
    )
    whole = m_model - m_nothing
    values = (m_circuit - m_nothing)[whole != 0] / whole[whole != 0]
    return PromptInterval(
        faithfulness(circuit, model, nothing),
        *(float(q) for q in np.quantile(values, [0.025, 0.975])),
    )


def faithfulness_curve(sizes: Sequence[float], f: Sequence[float]) -> Curve:
    """Faithfulness over the share of edges, with CMD and CPR by the trapezoidal rule."""
    shares, faithfulness = np.asarray(sizes, dtype=float), np.asarray(f, dtype=float)
    return Curve(
        tuple(sizes),
        tuple(float(value) for value in faithfulness),
        cmd=float(np.trapezoid(np.abs(1 - faithfulness), shares)),
        cpr=float(np.trapezoid(faithfulness, shares)),
    )


class Calibration(NamedTuple):
    """How well estimated effects agree with exact ones.

    Attributes:
        sign_errors: share of those with an exact effect whose estimate has the other sign.
        top_overlap: share of the `k` largest exact effects among the `k` largest estimates.
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
    """How well estimates agree with exact effects; correlations are nan if one side is constant."""
    from scipy.stats import rankdata

    k = min(k, len(exact))
    nonzero = exact != 0
    wrong_sign = np.sign(estimated[nonzero]) != np.sign(exact[nonzero])
    top_estimated, top_exact = (
        set(np.argsort(-np.abs(values), kind="stable")[:k].tolist())
        for values in (estimated, exact)
    )
    return Calibration(
        len(exact),
        _correlation(estimated, exact),
        _correlation(rankdata(estimated), rankdata(exact)),
        float(wrong_sign.mean()) if nonzero.any() else 0.0,
        len(top_estimated & top_exact) / k,
        k,
    )


def jaccard(a: Bool[np.ndarray, "*shape"], b: Bool[np.ndarray, "*shape"]) -> float:
    """Shared edges over all edges of two circuits; 1 for two empty ones."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
