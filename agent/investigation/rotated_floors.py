"""The floor *rotated*: what the run's explainer scores on rotated directions of a target's layer.

`controls.rotated` explains the directions and logs them, one event for each layer; a replay finds the
events in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...tools.subject.address import Side, Unit

EVENT = "rotated"


class RotatedGroup(NamedTuple):
    """A layer, and the sides of its targets: "both", or "+" for either side alone.

    The negative side of a direction is the positive side of its opposite, which is as random.
    """

    layer: int
    side: Side

    @classmethod
    def of(cls, target: Unit) -> RotatedGroup | None:
        """The group that a target is compared with; None if it is no neuron."""
        if target.site != "mlp":
            return None
        return cls(target.layer, "both" if target.side == "both" else "+")

    def __str__(self) -> str:
        return f"{self.layer}" if self.side == "both" else f"{self.layer}{self.side}"


def mean_scores(event: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Mean over directions of each score, by scorer and text."""
    values: dict[tuple[str, str], list[float]] = {}
    for direction in event["directions"]:
        for score in direction["scores"]:
            values.setdefault((score["scorer"], score["text"]), []).append(score["value"])
    return {key: float(np.mean(of_key)) for key, of_key in values.items()}
