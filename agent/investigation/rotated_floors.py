"""The floor *rotated*: what the run's explainer scores on what means nothing in a target's layer.

`controls.rotated` explains rotated directions of a layer's neurons, and random latents of a dictionary,
and logs them, one event for each group; a replay finds the events in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...evals.score import Score
from ...tools.subject.address import Side, Unit

if TYPE_CHECKING:
    from ..runlog.log import RunLog

EVENT = "rotated"


class RotatedGroup(NamedTuple):
    """A layer or a dictionary, and the sides of its targets: "both", or "+" for either side alone.

    The negative side of a direction is the positive side of its opposite, which is as random.

    Attributes:
        layer: `NO_LAYER` for a dictionary.
        dictionary: its name; "" for a layer's neurons.
    """

    layer: int
    side: Side
    dictionary: str = ""

    @classmethod
    def of(cls, target: Unit) -> RotatedGroup | None:
        """The group that a target is compared with; None for heads and named directions."""
        if target.site == "sae":  # never negative, so that its one side is all of it
            return None if target.side == "-" else cls(target.layer, "both", target.name)
        if target.site != "mlp":
            return None
        return cls(target.layer, "both" if target.side == "both" else "+")

    def __str__(self) -> str:
        if self.dictionary:
            return f"sae.{self.dictionary}"
        return f"{self.layer}" if self.side == "both" else f"{self.layer}{self.side}"


def mean_scores(event: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Mean over directions of each score, by scorer and text."""
    values: dict[tuple[str, str], list[float]] = {}
    for direction in event["directions"]:
        for score in direction["scores"]:
            values.setdefault((score["scorer"], score["text"]), []).append(score["value"])
    return {key: float(np.mean(of_key)) for key, of_key in values.items()}


def rotated_means(log: RunLog, target: Unit) -> dict[tuple[str, str], float]:
    """Mean score of the directions that a target is compared with; empty if none were explained."""
    event = log.get(EVENT, None, str(RotatedGroup.of(target)))
    return {} if event is None else mean_scores(event)


def with_rotated(score: Score, means: Mapping[tuple[str, str], float]) -> Score:
    """A held-out score with its floor *rotated*; other scores as they are."""
    if score.split != "holdout":
        return score
    mean = means.get((score.scorer, score.text))
    return replace(score, floors=replace(score.floors, rotated=mean))
