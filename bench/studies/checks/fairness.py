"""Fairness: a planted gap of 0.2 is inside its interval, and groups that are alike have none."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.audits.fairness import conclude
from ..registry import known_answer, null

CLUSTERS, GROUPS = 120, ("a", "b", "c", "d")


def _measured(seed: int, gap: float) -> dict[str, np.ndarray]:
    """Errors (0 or 1) of four groups in each cluster; group "a" has more by the gap."""
    rng = np.random.default_rng(seed)
    group = np.tile(GROUPS, CLUSTERS)
    cluster = np.repeat(np.arange(CLUSTERS), len(GROUPS))
    rate = 0.4 + 0.2 * rng.uniform(-1, 1, CLUSTERS)[cluster] + gap * (group == "a")
    return {
        "figure": (rng.random(len(group)) < rate).astype(float),
        "group": group,
        "cluster": cluster,
    }


@known_answer("fairness", "a planted gap of 0.2 in error rate is inside its interval and supported")
def planted_gap(seed: int) -> bool:
    result = conclude(_measured(seed, 0.2), seed)
    claim = result.claims[0]
    assert claim.low is not None
    assert claim.high is not None
    return claim.low < 0.2 < claim.high and claim.verdict == "supported"


@null("fairness", "groups that are alike")
def alike(seed: int) -> StudyResult:
    return conclude(_measured(seed, 0.0), seed)
