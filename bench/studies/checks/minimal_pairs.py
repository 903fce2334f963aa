"""Minimal pairs: a rule that is followed in nine of ten pairs is seen, liking a form is not one."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.minimal_pairs import ATTRACTOR, NO_ATTRACTOR, conclude
from ..registry import known_answer, null

GROUPS, TWINS = 40, 3
"""Nouns, and twins of each: 240 pairs for each phenomenon."""
NAMES = ("agreement", NO_ATTRACTOR, ATTRACTOR, "polarity-ever")


def _concluded(shares: dict[str, float], seed: int, liking: float = 0.0) -> StudyResult:
    """Pairs of which a share, in each group its own around the given one, is right.

    Args:
        liking: nats by which the form " is" is more likely wherever it stands.
    """
    random = np.random.default_rng(seed)
    size = GROUPS * TWINS * 2
    forms = np.array([(" is", " are"), (" are", " is")] * (size // 2))
    good, bad, phenomenon, group = [], [], [], []
    for name, share in shares.items():
        own = np.repeat(np.arange(GROUPS), TWINS * 2)
        of_group = np.clip(share + random.normal(0, 0.05, GROUPS), 0, 1)[own]
        margin = np.where(random.random(size) < of_group, 1.0, -1.0) * random.exponential(2, size)
        good.append(margin + liking * (forms[:, 0] == " is"))
        bad.append(liking * (forms[:, 1] == " is"))
        phenomenon += [name] * size
        group += [f"noun {number}" for number in own]
    return conclude(
        np.concatenate(good),
        np.concatenate(bad),
        np.concatenate([forms] * len(shares)),
        np.array(phenomenon),
        np.array(group),
        seed,
    )


@known_answer(
    "minimal-pairs", "rules kept in 90 % of pairs are seen, and that attractors cost 20 %"
)
def kept_rules(seed: int) -> bool:
    result = _concluded(dict(zip(NAMES, (0.9, 0.9, 0.7, 0.9), strict=True)), seed)
    cost = result.claims[-1]
    assert cost.value is not None
    supported = all(claim.verdict == "supported" for claim in result.claims)
    return supported and abs(cost.value - 0.2) < 0.07


@known_answer("minimal-pairs", "a subject that likes one form whatever stands before it is at .5")
def liked_form(seed: int) -> bool:
    result = _concluded(dict.fromkeys(NAMES, 0.5), seed, liking=100.0)
    values = [claim.value for claim in result.claims[:-1]]
    return values == [0.5] * len(NAMES) and not any(
        claim.verdict == "supported" for claim in result.claims
    )


@null("minimal-pairs", "shuffled labels")
def shuffled_labels(seed: int) -> StudyResult:
    return _concluded(dict.fromkeys(NAMES, 0.5), seed)
