"""Predictions against outcomes: arithmetic, never the opinion of the model that hoped for one.

    fires     quantity >= q90 of the side's activation on explore
    silent    quantity <  q50 of it
    greater   quantity on text A > quantity on text B
    within    a <= quantity <= b
    raises    quantity > 0
    lowers    quantity < 0

A KL and a rank know no q50 and q90, so that only `greater` (KL) and `within` can be predicted of
them; what steering and patching change has a sign and a size: `raises`, `lowers` and `within`. The
activation of a side is signed: `a` for +, `-a` for -, so that "silent" means below the median also
for a unit that is positive half of the time. Position 0 of a text is left out, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .protocol import Experiment, Passage

if TYPE_CHECKING:
    import numpy as np

Outcome = Literal["for", "against", "void"]
VOID: dict[str, Any] = {"observed": None, "compared": None, "outcome": "void"}
"""What an experiment says that could not be read: neither for nor against."""


@dataclass(frozen=True)
class Thresholds:
    """q50 and q90 of a side's signed activation over every token of explore."""

    q50: float
    q90: float

    @classmethod
    def of(cls, activations: np.ndarray, side: str) -> Thresholds:
        """From the raw activations of a target on explore, one number a scored token."""
        import numpy as np

        signed = -activations if side == "-" else activations
        q50, q90 = np.quantile(signed, [0.5, 0.9])
        return cls(float(q50), float(q90))


@dataclass(frozen=True)
class Reading:
    """What an instrument saw of one text: its tokens' character offsets, and one activation a token."""

    offsets: Sequence[tuple[int, int]]
    activations: Sequence[float]


def adjudicate(
    experiment: Experiment, readings: Sequence[Reading], thresholds: Thresholds
) -> dict[str, Any]:
    """Compare an experiment's prediction with what was read.

    Args:
        experiment: with its prediction.
        readings: one a text of the experiment's call, in that order.
        thresholds: of the experiment's side.

    Returns:
        `{observed, compared, outcome}`: `observed` the quantity on text A, `compared` what it was held against,
        `outcome` "for", "against", or "void" when a passage holds no token that can be read.
    """
    observed = _quantity(experiment, experiment.passage, readings[0])
    if observed is None:
        return VOID
    other = _quantity(experiment, experiment.other, readings[1]) if experiment.other else None
    return compare(experiment, observed, other, thresholds)


def compare(
    experiment: Experiment,
    observed: float,
    other: float | None,
    thresholds: Thresholds | None = None,
) -> dict[str, Any]:
    """Hold a quantity against what was predicted of it.

    Args:
        observed: the quantity on text A.
        other: the quantity on text B, for `greater`.
        thresholds: of the experiment's side, for `fires` and `silent`.
    """
    compared: float | list[float] | None = None
    holds = False
    match experiment.relation:
        case "fires" if thresholds is not None:
            compared, holds = thresholds.q90, observed >= thresholds.q90
        case "silent" if thresholds is not None:
            compared, holds = thresholds.q50, observed < thresholds.q50
        case "greater" if other is not None:
            compared, holds = other, observed > other
        case "within":
            low, high = experiment.bounds or (float("nan"), float("nan"))
            compared, holds = [low, high], low <= observed <= high
        case "raises" | "lowers":
            compared, holds = 0.0, observed > 0 if experiment.relation == "raises" else observed < 0
        case _:
            pass
    if compared is None:
        return {"observed": observed, "compared": None, "outcome": "void"}
    return {"observed": observed, "compared": compared, "outcome": "for" if holds else "against"}


def _quantity(experiment: Experiment, passage: Passage, reading: Reading) -> float | None:
    start, end = passage.span or (0, len(passage.text))
    sign = -1.0 if experiment.side == "-" else 1.0
    inside = [
        sign * a
        for i, ((s, e), a) in enumerate(zip(reading.offsets, reading.activations, strict=True))
        if i > 0 and s < end and e > start
    ]
    if not inside:
        return None
    return max(inside) if experiment.quantity == "max" else sum(inside) / len(inside)


def tally(outcomes: Sequence[Mapping[str, Any]], hypothesis: str) -> tuple[int, int]:
    """How many outcomes speak for and against a hypothesis; void ones count for neither."""
    mine = [o["outcome"] for o in outcomes if o["hypothesis"] == hypothesis]
    return mine.count("for"), mine.count("against")
