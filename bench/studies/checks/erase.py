"""Erase: a planted direction is taken and nothing else; random labels leave nothing to take."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.erase import COST, conclude
from ..registry import known_answer, null

GROUPS, EACH, WIDTH, DOCUMENTS = 80, 3, 10, 20


def _concluded(seed: int, strength: float, cost: float) -> StudyResult:
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(GROUPS), EACH)
    label = random.permutation(np.arange(GROUPS) % 2)[group]
    vectors = random.normal(size=(GROUPS, WIDTH))[group] + random.normal(size=(len(group), WIDTH))
    vectors += strength * label[:, None] * random.normal(size=WIDTH)
    bare = random.uniform(2, 4, DOCUMENTS)
    erased = bare * (1 + cost + 0.004 * random.normal(size=(2, DOCUMENTS)))
    labels = [("no", "yes")[number] for number in label]
    return conclude(vectors, labels, group, np.stack([bare, *erased]), 3, seed)


@known_answer("erase", "a planted direction is read before and at chance after, at no cost")
def planted_direction(seed: int) -> bool:
    result = _concluded(seed, 4.0, 0.0)
    before, after, placebo = (row["accuracy"] for row in result.rows)
    return (
        [claim.verdict for claim in result.claims] == ["supported"] * 3
        and before > 0.95
        and placebo > 0.9
        and after < result.rows[0]["majority"] + 0.01
    )


@null("erase", "random labels, and a cost of exactly the bound")
def random_labels(seed: int) -> StudyResult:
    return _concluded(seed, 0.0, COST)
