"""Predictions against outcomes: compared by arithmetic, never by the model that made the prediction.

    fires     quantity >= q90 of the side's activation on explore, or a higher firing level
    silent    quantity <  q50 of it
    greater   quantity on text A > quantity on text B
    within    a <= quantity <= b
    raises    quantity > 0
    lowers    quantity < 0

For most neurons q90 is near zero: on the default subject it lies at 6 % of the way from the median to
the largest activation (median over 200 neurons), so that nearly everything "fires". A language model's
`fires` therefore means at least FIRING of the side's range, from the median to the level that one
token in a thousand reaches, and never less than q90 (docs/design/firing-level.md).

A KL or a rank has no q50 and q90, so that only `greater` (KL) and `within` can be predicted of
them. What steering and patching change has a sign and a size: `raises`, `lowers` and `within`. The
activation of a side is signed, `a` for + and `-a` for -, so that "silent" means below the median
also for a unit that is positive half of the time. Position 0 of a text is left out, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from .protocol import Experiment, Passage

if TYPE_CHECKING:
    from jaxtyping import Float


class PredictionOutcome(TypedDict):
    """What came of a prediction."""

    observed: float | None
    """The quantity on text A."""
    compared: float | list[float] | None
    """What it was compared with."""
    outcome: Literal["for", "against", "void"]


FIRING = 0.25
"""Share of a side's range that a language model's `fires` means."""
VOID: PredictionOutcome = {"observed": None, "compared": None, "outcome": "void"}
"""The outcome of an experiment that could not be read: neither for nor against."""


@dataclass(frozen=True)
class Thresholds:
    """Quantiles of a side's signed activation over every token of explore, and the largest."""

    q50: float
    q90: float
    q99: float = 0.0
    q999: float = 0.0
    largest: float = 0.0

    def fires(self, level: float) -> float:
        """What an activation must reach for `fires`.

        Args:
            level: share of the side's range; 0 means q90.
        """
        return max(self.q90, self.q50 + level * (self.q999 - self.q50)) if level else self.q90

    @property
    def is_zero_at_rest(self) -> bool:
        """Whether the unit is 0 at most tokens, as a latent is: then it is silent at 0, and fires above."""
        return self.q50 == 0

    @classmethod
    def of(cls, activations: Float[np.ndarray, " tokens"], side: str) -> Thresholds:
        """From a target's raw activations at the tokens that count."""
        signed = -activations if side == "-" else activations
        quantiles = np.quantile(signed, [0.5, 0.9, 0.99, 0.999, 1.0])
        return cls(*map(float, quantiles))


@dataclass(frozen=True)
class Reading:
    """What an instrument read on one text."""

    offsets: Sequence[tuple[int, int]]
    """The tokens' character offsets."""
    activations: Sequence[float]
    """One per token."""


def adjudicate(
    experiment: Experiment, readings: Sequence[Reading], thresholds: Thresholds
) -> PredictionOutcome:
    """Compare an experiment's prediction with what was read; void if a passage has no token to read.

    Args:
        readings: one per text of the experiment, in that order.
        thresholds: of the experiment's side.
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
) -> PredictionOutcome:
    """Compare a quantity with the prediction.

    Args:
        observed: the quantity on text A.
        other: the quantity on text B, for `greater`.
        thresholds: of the experiment's side, for `fires` and `silent`.
    """
    compared: float | list[float]
    match experiment.relation:
        case "fires" if thresholds is not None:
            compared = thresholds.fires(experiment.level)
            # Thresholds are of stored activations, which are float16.
            holds = np.float16(observed) >= compared
            holds = bool(holds and (observed > 0 or not thresholds.is_zero_at_rest))
        case "silent" if thresholds is not None:
            compared, holds = thresholds.q50, observed < thresholds.q50
            holds = holds or (thresholds.is_zero_at_rest and observed == 0)
        case "greater" if other is not None:
            compared, holds = other, observed > other
        case "within":
            low, high = experiment.bounds or (float("nan"), float("nan"))
            compared, holds = [low, high], low <= observed <= high
        case "raises":
            compared, holds = 0.0, observed > 0
        case "lowers":
            compared, holds = 0.0, observed < 0
        case _:
            return {"observed": observed, "compared": None, "outcome": "void"}
    return {"observed": observed, "compared": compared, "outcome": "for" if holds else "against"}


def _quantity(experiment: Experiment, passage: Passage, reading: Reading) -> float | None:
    """The largest or mean signed activation of the tokens that overlap the passage's span."""
    start, end = passage.span or (0, len(passage.text))
    sign = -1.0 if experiment.side == "-" else 1.0
    tokens = zip(reading.offsets, reading.activations, strict=True)
    inside = [
        sign * activation
        for position, ((first, last), activation) in enumerate(tokens)
        if position > 0 and first < end and last > start
    ]
    if not inside:
        return None
    return max(inside) if experiment.quantity == "max" else sum(inside) / len(inside)


def tally(
    outcomes: Sequence[Mapping[str, Any]], hypothesis: str, inherited: Collection[str] = ()
) -> tuple[int, int]:
    """How many outcomes are for and against a hypothesis; void ones count for neither.

    Args:
        inherited: experiments of the hypothesis that it revises, which count for it too.
    """
    own = [
        row["outcome"]
        for row in outcomes
        if row["hypothesis"] == hypothesis or row.get("experiment") in inherited
    ]
    return own.count("for"), own.count("against")
