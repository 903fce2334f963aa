"""What the same explainer scores on rotated directions of a layer, which mean nothing.

    rotated    no target, no id; data {"mlp.10": {"simulation": 0.386, "meaning": ...}, ...}: place of
               a unit (site and layer) to scorer to the mean over the directions, on holdout

The event is written when the run begins, from what was measured for its index, and copied by a
replay. Without it the floor *rotated* is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from .log import RunLog

ROTATED = "rotated"


def rotated_means(log: RunLog, unit: Unit) -> Mapping[str, float]:
    """Mean score of the rotated directions of a unit's layer, by scorer; empty if not measured."""
    return (log.get(ROTATED) or {}).get(str(unit.place), {})
