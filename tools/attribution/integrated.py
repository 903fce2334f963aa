"""Integrated gradients, refined until the credit adds up.

    credit of a token = (x - b) . integral over t in [0, 1] of df/de at b + t (x - b)         (Sundararajan et al. 2017)

1. On an interval of t the integral is taken by Kronrod's rule of 15 points. The scalar is known at both ends, so that
   the interval's error is known too, and not only estimated: |sum of its credit - (f(end) - f(start))|.
2. While the intervals' errors together exceed 1 % of f(x) - f(b), the worst interval is halved. Errors of intervals
   cannot cancel each other.
3. What is not there after `max_evaluations` points is `not_converged`, which is no evidence.

The baseline decides. SmolLM2-135M, 50 steps: zero or end-of-sequence embeddings 68 to 130 % wrong, since the path leads
through places where a norm is nearly discontinuous; a counterfactual prompt of the same length 0.02 % at 20 steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .case import Case
from .result import TOLERANCE, TokenAttribution, relative

_HALF = (
    (0.991455371120812639206854697526329, 0.022935322010529224963732008058970),
    (0.949107912342758524526189684047851, 0.063092092629978553290700663189204),
    (0.864864423359769072789712788640926, 0.104790010322250183839876322541518),
    (0.741531185599394439863864773280788, 0.140653259715525918745189590510238),
    (0.586087235467691130294144691693013, 0.169004726639267902826583426598550),
    (0.405845151377397166906606412076961, 0.190350578064785409913256402421014),
    (0.207784955007898467600689403773245, 0.204432940075298892414161999234649),
)
KRONROD = (*((-x, w) for x, w in _HALF), (0.0, 0.209482141084727828012999174891714), *((x, w) for x, w in _HALF))
"""Points and weights on [-1, 1]; exact for polynomials of degree 22."""


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


def integrated_gradients(case: Case, tolerance: float = TOLERANCE, max_evaluations: int = 240) -> TokenAttribution:
    """Integrated gradients from the case's baseline, refined until the error is below `tolerance`."""
    reference, value = case.values(torch.stack([case.baseline, case.embedding])).tolist()
    done = [_integrate(case, 0.0, 1.0, reference, value)]
    evaluations = 2 + len(KRONROD)
    while _error(done) > tolerance and evaluations < max_evaluations:
        worst = max(done, key=lambda each: each.error)
        middle = (worst.start + worst.end) / 2
        f_middle = float(case.values(_path(case, torch.tensor([middle]))))
        done.remove(worst)
        done.append(_integrate(case, worst.start, middle, worst.f_start, f_middle))
        done.append(_integrate(case, middle, worst.end, f_middle, worst.f_end))
        evaluations += 1 + 2 * len(KRONROD)
    error = _error(done)
    return TokenAttribution(
        "integrated_gradients",
        sum(each.credit for each in done).cpu().numpy(),  # pyright: ignore[reportAttributeAccessIssue]
        value,
        "converged" if error <= tolerance else "not_converged",
        reference,
        error,
        evaluations,
        notes=_notes(case),
    )


def _integrate(case: Case, start: float, end: float, f_start: float, f_end: float) -> _Interval:
    points = torch.tensor([(start + end) / 2 + (end - start) / 2 * x for x, _ in KRONROD])
    weights = torch.tensor([(end - start) / 2 * w for _, w in KRONROD]).to(case.embedding)
    gradients = case.slopes(_path(case, points)).gradients
    credit = torch.einsum("p,psd,sd->s", weights, gradients, case.embedding - case.baseline)
    return _Interval(start, end, f_start, f_end, credit)


def _path(case: Case, points: Float[Tensor, " points"]) -> Float[Tensor, "points seq d_model"]:
    return torch.lerp(case.baseline, case.embedding, points.to(case.embedding)[:, None, None])


def _error(intervals: list[_Interval]) -> float:
    whole = max(intervals, key=lambda each: each.end).f_end - min(intervals, key=lambda each: each.start).f_start
    return relative(sum(each.error for each in intervals), whole)


def _notes(case: Case) -> tuple[str, ...]:
    if case.baseline_ids is not None and len(set(case.baseline_ids.tolist())) > 1:
        return ()
    return ("the baseline is no text: such paths seldom converge; give a counterfactual of the same length",)
