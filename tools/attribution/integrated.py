"""Integrated gradients, refined until the credit adds up.

    credit of a token = (x - b) . integral over t in [0, 1] of df/de at b + t (x - b)         (Sundararajan et al. 2017)

1. [0, 1] is cut in halves. On each the integral is taken by Gauss and Legendre's rule of 8 points.
   The scalar is known at both ends, so that the error is known too, and not only estimated: |sum of
   the credit - (f(end) - f(start))|.
2. While the intervals' errors together exceed 1 % of f(x) - f(b), the worst interval is halved.
   Errors of intervals cannot cancel each other.
3. What is not there after `max_evaluations` points is `not_converged`, which is no evidence.

The baseline decides. SmolLM2-135M, 50 steps: zero or end-of-sequence embeddings 68 to 130 % wrong,
since the path leads through places where a norm is nearly discontinuous; a counterfactual prompt of
the same length 0.02 % at 20 steps.
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
"""Points of an interval: the rule is exact for polynomials of degree 15. A 32-token IOI prompt
needs 20 points at once for 0.2 %, and two halves of 8 for 0.01 %."""


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
    case: AttributionTarget, tolerance: float = TOLERANCE, max_evaluations: int = 240
) -> TokenAttribution:
    """Integrated gradients from the case's baseline, refined until the error is below `tolerance`."""
    ends = torch.tensor([0.0, 0.5, 1.0])
    reference, middle, value = case.values(_path(case, ends)).tolist()
    done = [
        _integrate(case, 0.0, 0.5, reference, middle),
        _integrate(case, 0.5, 1.0, middle, value),
    ]
    evaluations = 3 + 2 * POINTS
    while _error(done) > tolerance and evaluations < max_evaluations:
        worst = max(done, key=lambda each: each.error)
        at = (worst.start + worst.end) / 2
        f_at = float(case.values(_path(case, torch.tensor([at]))))
        done.remove(worst)
        done += [_integrate(case, worst.start, at, worst.f_start, f_at)]
        done += [_integrate(case, at, worst.end, f_at, worst.f_end)]
        evaluations += 1 + 2 * POINTS
    error = _error(done)
    return TokenAttribution(
        "integrated_gradients",
        torch.stack([each.credit for each in done]).sum(0).cpu().numpy(),
        value,
        "converged" if error <= tolerance else "not_converged",
        reference,
        error,
        evaluations,
        notes=_notes(case),
    )


def _integrate(
    case: AttributionTarget, start: float, end: float, f_start: float, f_end: float
) -> _Interval:
    nodes, weights = (
        torch.from_numpy(some).to(case.embedding)
        for some in np.polynomial.legendre.leggauss(POINTS)
    )
    points, weights = (start + end) / 2 + (end - start) / 2 * nodes, (end - start) / 2 * weights
    gradients = case.slopes(_path(case, points)).gradients
    credit = torch.einsum("p,psd,sd->s", weights, gradients, case.embedding - case.baseline)
    return _Interval(start, end, f_start, f_end, credit)


def _path(
    case: AttributionTarget, points: Float[Tensor, " points"]
) -> Float[Tensor, "points seq d_model"]:
    """Mixtures; the prompt itself comes out bit for bit at 1, and so the scalar's value."""
    return torch.lerp(case.baseline, case.embedding, points.to(case.embedding)[:, None, None])


def _error(intervals: list[_Interval]) -> float:
    whole = (
        max(intervals, key=lambda each: each.end).f_end
        - min(intervals, key=lambda each: each.start).f_start
    )
    return relative(sum(each.error for each in intervals), whole)


def _notes(case: AttributionTarget) -> tuple[str, ...]:
    if case.baseline_ids is not None and len(set(case.baseline_ids.tolist())) > 1:
        return ()
    return (
        "the baseline is no text: such paths seldom converge; give a counterfactual of the same length",
    )
