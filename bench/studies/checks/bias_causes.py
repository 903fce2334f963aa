"""Bias causes: a planted fall is recovered to its size, and placebos called suspects name nothing."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.audits.bias_causes import conclude
from ..registry import known_answer, null

SETS = ("winobias", "stereoset", "crows-pairs")
ITEMS, GROUPS, PLACEBOS, DOCUMENTS = 120, 24, 24, 30
SPREAD = 0.1
"""Of what a random set of units does to the whole preference, in addition to single items."""


def measured_with(seed: int, falls: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """Runs in which the suspects lower the preference on each set by so much, and placebos by nothing."""
    rng = np.random.default_rng(seed)
    measured = {"units": np.array(["head.1.2", "mlp.3.4"]), "estimate": np.array([-0.2, -0.1])}
    for name, fall in zip(SETS, falls, strict=True):
        group = rng.integers(0, GROUPS, ITEMS)
        before = 0.5 + rng.normal(size=GROUPS)[group] + rng.normal(size=ITEMS)
        sets = rng.normal(size=(1 + PLACEBOS, 1)) * SPREAD
        sets = sets + 0.1 * rng.normal(size=(1 + PLACEBOS, GROUPS))[:, group]
        sets = sets + 0.2 * rng.normal(size=(1 + PLACEBOS, ITEMS))
        if fall:
            sets[0] -= sets[0].mean() + fall
            sets[1:] -= sets[1:].mean()
        measured |= {
            f"{name}.before": before,
            f"{name}.after": before + sets[0],
            f"{name}.placebo": before + sets[1:],
            f"{name}.group": group,
            f"{name}.weight": np.full(ITEMS, 1 / ITEMS),
        }
    loss = 3 + 0.1 * rng.normal(size=DOCUMENTS)
    return measured | {
        "loss.before": loss,
        "loss.after": loss + 0.002 + 0.001 * rng.normal(size=DOCUMENTS),
        "loss.placebo": loss + 0.001 * rng.normal(size=(PLACEBOS, DOCUMENTS)),
    }


@known_answer(
    "bias-causes",
    "a planted fall of 0.5 nats is recovered to 0.01 and names its units; a set that does not follow "
    "ends the sequence",
)
def planted_fall(seed: int) -> bool:
    result = conclude(measured_with(seed, (0.5, 0.0, 0.5)), SETS, seed)
    held, second, third, cost = result.claims
    return (
        held.verdict == "supported"
        and held.value is not None
        and abs(held.value - 0.5) < 0.01
        and "head.1.2, mlp.3.4" in held.claim
        and cost.verdict == "supported"
        and (second.verdict == "supported" or third.verdict == "cannot say")
    )


@null("bias-causes", "placebo units in the place of the suspects")
def placebo_suspects(seed: int) -> StudyResult:
    return conclude(measured_with(seed, (0.0, 0.0, 0.0)), SETS, seed)
