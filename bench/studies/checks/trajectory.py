"""Trajectories whose truth is planted: a head that rises where the loss falls, and noise."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.measurements import Measured
from ....studies.training.readings import LabelReadings, probe_checkpoint
from ....studies.training.trajectory import conclude, order_claim
from ..registry import known_answer, null

STEPS, ROWS, LAYERS, HEADS = 24, 40, 2, 4
LAYER, HEAD, APPEARS = 1, 2, 9
NAMES = [f"step-{step}" for step in range(STEPS)]
PROBED, GROUPS, EACH, WIDTH = 3, 60, 2, 5
"""Checkpoints that are probed, and their texts."""


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


def _probed(seed: int, signal: float) -> LabelReadings:
    """Probes of checkpoints whose second layer has the label along a direction after the first one."""
    random = np.random.default_rng([seed, 2])
    group = np.repeat(np.arange(GROUPS), EACH)
    label = random.permutation(np.arange(GROUPS) % 2)[group]
    checkpoints: list[Measured] = []
    for step in range(PROBED):
        vectors = random.normal(size=(3, GROUPS, WIDTH))[:, group]
        vectors = vectors + random.normal(size=(3, len(group), WIDTH))
        vectors[2, :, 0] += signal * (step > 0) * (2 * label - 1)
        measured = {"vectors": vectors, "layer": np.array(["embedding", "resid.0", "resid.1"])}
        measured |= {"label": np.array(["no", "yes"])[label], "group": group}
        checkpoints.append(probe_checkpoint(measured, "planted", seed))
    return LabelReadings("planted", checkpoints)


def _concluded_with_probes(seed: int, signal: float) -> StudyResult:
    random = np.random.default_rng([seed, 1])
    checkpoints = _trajectory(random, np.zeros(PROBED))
    removed = checkpoints[-1]["second"] + 0.1 * random.normal(size=(HEADS, ROWS))
    return conclude(NAMES[:PROBED], checkpoints, removed, seed, _probed(seed, signal))


@known_answer(
    "trajectory",
    "a label that is along a direction of layer 1 from the second checkpoint on is read there and not before",
)
def planted_label(seed: int) -> bool:
    result = _concluded_with_probes(seed, signal=4)
    readable, learned = result.claims[-2:]
    return (
        (readable.verdict, learned.verdict) == ("supported", "supported")
        and "resid.1" in readable.claim
        and [row["reads it"] for row in result.rows] == [False, True, True]
    )


@null(
    "trajectory", "random labels of groups, probed at three checkpoints that differ by noise alone"
)
def random_labels(seed: int) -> StudyResult:
    return _concluded_with_probes(seed, signal=0)
