"""Trajectories whose truth is planted: a head that rises where the loss falls, and noise."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.measurements import Measured
from ....studies.training.trajectory import conclude, order_claim
from ..registry import known_answer, null

STEPS, ROWS, LAYERS, HEADS = 24, 40, 2, 4
LAYER, HEAD, APPEARS = 1, 2, 9
NAMES = [f"step-{step}" for step in range(STEPS)]


def _trajectory(random: np.random.Generator, learned: np.ndarray) -> list[Measured]:
    """Checkpoints at which so much of an induction head, and of what it does, is there."""
    checkpoints: list[Measured] = []
    texts = random.normal(size=ROWS)  # some texts are harder than others at every checkpoint
    for share in learned:
        induction = 0.1 + 0.02 * random.normal(size=(ROWS, LAYERS, HEADS))
        induction[:, LAYER, HEAD] += 0.6 * share
        noise = texts + 0.02 * random.normal(size=(3, ROWS))
        checkpoints.append(
            {
                "loss": 4 - share + noise[0],
                "first": 4 + noise[1],
                "second": 4 - 3 * share + noise[2],
                "induction": induction,
                "previous": 0.1 + 0.02 * random.normal(size=(ROWS, LAYERS, HEADS)),
            }
        )
    return checkpoints


@known_answer(
    "trajectory",
    "a head that appears at step 9, where the loss falls, is named; shuffled order is refuted",
)
def planted_head(seed: int) -> bool:
    random = np.random.default_rng([seed, 1])  # the study draws from the seed alone
    checkpoints = _trajectory(random, 1 / (1 + np.exp(APPEARS - np.arange(STEPS))))
    removed = checkpoints[-1]["second"] + 0.1 * random.normal(size=(HEADS, ROWS))
    removed[HEAD] += 2
    result = conclude(NAMES, checkpoints, removed, seed)
    loss = np.stack([measured["loss"] for measured in checkpoints])
    shuffled = order_claim(loss[random.permutation(STEPS)], seed)
    return (
        [claim.verdict for claim in result.claims] == ["supported"] * 4
        and f"head {LAYER}.{HEAD} " in result.claims[2].claim
        and shuffled.verdict == "refuted"
    )


@null("trajectory", "checkpoints that differ by noise alone, and a head like any other")
def noise(seed: int) -> StudyResult:
    random = np.random.default_rng([seed, 1])  # the study draws from the seed alone
    checkpoints = _trajectory(random, np.zeros(STEPS))
    removed = checkpoints[-1]["second"] + 0.1 * random.normal(size=(HEADS, ROWS))
    return conclude(NAMES, checkpoints, removed, seed)


@null("trajectory", "a head and a loss that change at unrelated steps")
def unrelated_steps(seed: int) -> StudyResult:
    random = np.random.default_rng([seed, 1])  # the study draws from the seed alone
    checkpoints = _trajectory(random, np.zeros(STEPS))
    for measured, score, loss in zip(
        checkpoints, random.normal(size=STEPS), random.normal(size=STEPS), strict=True
    ):
        measured["induction"][:, LAYER, HEAD] += 0.3 + 0.05 * score
        measured["second"][:] += 0.3 * loss
        measured["first"][:] += 0.3 * loss  # so that nothing is learned from the context
    removed = checkpoints[-1]["second"] + 0.1 * random.normal(size=(HEADS, ROWS))
    return conclude(NAMES, checkpoints, removed, seed)
