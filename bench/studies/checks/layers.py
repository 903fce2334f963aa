"""Layers: the planted order of three properties is recovered; control labels are in no order."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.layers import ReadProperty, conclude
from ....tools.representation.depth import centre_of_gravity
from ..registry import known_answer, null

LAYERS, TEXTS = 12, 450
GROUP = np.arange(TEXTS) // 3


def _read(seed: int, start: int | None) -> ReadProperty:
    """Read with accuracy .5 before the layer `start`, and with .9 from it on."""
    rng = np.random.default_rng([seed, 0 if start is None else start])
    accuracy = np.full((LAYERS, 1), 0.5)
    if start is not None:
        accuracy[start:] = 0.9
    # The same probe is right or wrong on the texts of one group.
    correct = rng.random((LAYERS, TEXTS // 3)).repeat(3, axis=1) < accuracy
    return ReadProperty(correct, (rng.random((LAYERS, TEXTS)) < 0.5) * 1.0, GROUP)


@known_answer(
    "layers",
    "what appears at once has its centre there, and properties that appear after layers 1, 5 and 9 "
    "are found in that order",
)
def planted_order(seed: int) -> bool:
    exact = np.isclose(centre_of_gravity(np.array([0.0, 0.0, 0.4, 0.4, 0.4])), 2)
    half = np.isclose(centre_of_gravity(np.array([0.2, 0.2, 0.2, 0.2, 0.4])), 2)
    result = conclude({f"p{start}": _read(seed, start) for start in (1, 5, 9)}, seed)
    return bool(exact and half) and all(c.verdict == "supported" for c in result.claims)


@null("layers", "probes that read no more than control labels")
def nothing_readable(seed: int) -> StudyResult:
    return conclude({"first": _read(2 * seed, None), "second": _read(2 * seed + 1, None)}, seed)
