"""Integrated gradients, refined until the credit adds up.

    credit of a token = (x - b) . integral over t in [0, 1] of df/de at b + t (x - b)         (Sundararajan et al. 2017)

1. Split [0, 1] in halves. On each, integrate by the Gauss-Legendre rule of 8 points. The scalar is
   known at both ends, so an interval's error is known and not only estimated: |sum of its credit -
   (f(end) - f(start))|.
2. The result's `error` is the sum of the intervals' errors, as a share of |f(x) - f(b)|. They are
   added without signs and so cannot cancel: it is at least how far the total credit is off. While
   it exceeds 1 %, halve the worst interval.
3. A result that needs more than `max_evaluations` points is `not_converged` and no evidence.

The baseline decides. On SmolLM2-135M with 50 steps, zero or end-of-sequence embeddings are 68 to
130 % off, since the path passes where a norm is nearly discontinuous; a counterfactual prompt of
the same length is 0.02 % off at 20 steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .result import TOLERANCE, TokenAttribution, relative
from .target import AttributionTarget

POINTS = 8
"""Points per interval: the rule is exact for polynomials of degree 15. On a 32-token IOI prompt 20
points at once leave 0.2 %, and two halves of 8 leave 0.01 %."""


@dataclass(frozen=True, eq=False)
class _Interval:
    start: float
    end: float
    f_start: float
    f_end: float
    credit: Float[Tensor, " seq"]

    @property
    def error(self) -> float:
        return abs(float(self.credit.sum()) - (self.f_end - self.f_start))


def integrated_gradients(
    target: AttributionTarget, tolerance: float = TOLERANCE, max_evaluations: int = 240
) -> TokenAttribution:
    """Integrated gradients from the case's baseline, refined until the error is below `tolerance`."""
    points = torch.tensor([0.0, 0.5, 1.0])
    reference, middle, value = target.values(_path(target, points)).tolist()
    # 1. Two halves.
    intervals = [
        _integrate(target, 0.0, 0.5, reference, middle),
        _integrate(target, 0.5, 1.0, middle, value),
    ]
    evaluations = 3 + 2 * POINTS
    # 2. Halve the worst.
    while _error(intervals) > tolerance and evaluations < max_evaluations:
        worst = max(intervals, key=lambda interval: interval.error)
        at = (worst.start + worst.end) / 2
        f_at = float(target.values(_path(target, torch.tensor([at]))))
        intervals.remove(worst)
        intervals += [
            _integrate(target, worst.start, at, worst.f_start, f_at),
            _integrate(target, at, worst.end, f_at, worst.f_end),
        ]
        evaluations += 1 + 2 * POINTS
    error = _error(intervals)
    return TokenAttribution(
        "integrated_gradients",
        torch.stack([interval.credit for interval in intervals]).sum(0).cpu().numpy(),
        value,
        "converged" if error <= tolerance else "not_converged",
        reference,
        error,
        evaluations,
        notes=_notes(target),
    )


def _integrate(
    target: AttributionTarget, start: float, end: float, f_start: float, f_end: float
) -> _Interval:
    nodes, weights = (
        torch.from_numpy(column).to(target.embedding)
        for column in np.polynomial.legendre.leggauss(POINTS)
    )
    half = (end - start) / 2  # the rule is given for [-1, 1]
    gradients = target.slopes(_path(target, (start + end) / 2 + half * nodes)).gradients
    change = target.embedding - target.baseline
    credit = torch.einsum("p,psd,sd->s", half * weights, gradients, change)
    return _Interval(start, end, f_start, f_end, credit)


def _path(
    target: AttributionTarget, points: Float[Tensor, " points"]
) -> Float[Tensor, "points seq d_model"]:
    """Mixtures of baseline and prompt; at 1 the prompt bit for bit, and so the scalar's own value."""
    return torch.lerp(target.baseline, target.embedding, points.to(target.embedding)[:, None, None])


def _error(intervals: list[_Interval]) -> float:
    first = min(intervals, key=lambda interval: interval.start)
    last = max(intervals, key=lambda interval: interval.end)
    return relative(sum(interval.error for interval in intervals), last.f_end - first.f_start)


def _notes(target: AttributionTarget) -> tuple[str, ...]:
    if target.baseline_ids is not None and len(set(target.baseline_ids.tolist())) > 1:
        return ()
    return (
        "the baseline is not a text: such paths seldom converge; give a counterfactual of the same length",
    )
