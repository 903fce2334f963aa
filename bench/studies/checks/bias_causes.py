"""Bias causes: a planted fall is recovered to its size, and placebos called suspects name nothing.

The units are arrays of preferences. The erasure is fitted for real, to vectors of which a line reads
the preference.
"""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.audits.bias_causes import conclude
from ....tools.bias.text_direction import LabelledVectors, placebo_eraser, text_eraser
from ....tools.representation.erasure import Eraser
from ..registry import known_answer, null

SETS = ("winobias", "stereoset", "crows-pairs")
ITEMS, GROUPS, PLACEBOS, DOCUMENTS, WIDTH = 120, 24, 24, 30, 12
SPREAD = 0.1
"""Of what a random set of units does to the whole preference, in addition to single items."""


def measured_with(seed: int, falls: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """Runs in which the suspects lower the preference on each set by so much, and placebos by nothing."""
    rng = np.random.default_rng(seed)
    measured: dict[str, np.ndarray] = {}
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
    return measured | _losses(rng)


def _losses(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A mitigation that costs 0.002 nats."""
    loss = 3 + 0.1 * rng.normal(size=DOCUMENTS)
    return {
        "loss.before": loss,
        "loss.after": loss + 0.002 + 0.001 * rng.normal(size=DOCUMENTS),
        "loss.placebo": loss + 0.001 * rng.normal(size=(PLACEBOS, DOCUMENTS)),
    }


def erased_with(seed: int, preference: float) -> dict[str, np.ndarray]:
    """Each set is items of two vectors that differ along a direction, or along none if 0.

    The preference of an item is what a reader along that direction makes of the difference. Erasers
    are fitted to other items than those of the sets.
    """
    rng = np.random.default_rng(seed)
    direction, scale = rng.normal(size=WIDTH), np.exp(rng.normal(size=WIDTH))
    reader = direction / (direction @ direction)

    def draw(n: int) -> np.ndarray:
        """Two vectors of each item, [item, text, width]."""
        noise = rng.normal(size=(n, 2, WIDTH)) * scale
        return noise + preference / 2 * np.array([1, -1])[:, None] * direction

    n = 2 * ITEMS
    examples = LabelledVectors(
        draw(n).reshape(2 * n, WIDTH), np.arange(2 * n) % 2 == 0, np.arange(2 * n) // 2
    )
    eraser = text_eraser(examples)
    placebos = [placebo_eraser(examples, eraser, rng) for _ in range(PLACEBOS)]
    measured: dict[str, np.ndarray] = {}
    for name in SETS:
        vectors = draw(ITEMS)

        def preferences(each: Eraser | None, vectors: np.ndarray = vectors) -> np.ndarray:
            left = vectors if each is None else each(vectors)
            return (left[:, 0] - left[:, 1]) @ reader

        measured |= {
            f"{name}.before": preferences(None),
            f"{name}.after": preferences(eraser),
            f"{name}.placebo": np.stack([preferences(each) for each in placebos]),
            f"{name}.group": np.arange(ITEMS) % GROUPS,
            f"{name}.weight": np.full(ITEMS, 1 / ITEMS),
        }
    return measured | _losses(rng)


@known_answer(
    "bias-causes",
    "a planted fall of 0.5 nats is recovered to 0.01 and names its units; a set that does not follow "
    "ends the sequence",
)
def planted_fall(seed: int) -> bool:
    result = conclude(measured_with(seed, (0.5, 0.0, 0.5)), "head.1.2, mlp.3.4", SETS, seed)
    held, second, third, cost = result.claims
    return (
        held.verdict == "supported"
        and held.value is not None
        and abs(held.value - 0.5) < 0.01
        and "head.1.2, mlp.3.4" in held.claim
        and cost.verdict == "supported"
        and (second.verdict == "supported" or third.verdict == "cannot say")
    )


@known_answer("bias-causes", "erasing a planted direction takes nine tenths of the preference away")
def planted_direction(seed: int) -> bool:
    result = conclude(erased_with(seed, 2.0), "a direction", SETS, seed)
    rows = {row["what"]: row for row in result.rows}
    return all(claim.verdict == "supported" for claim in result.claims) and all(
        abs(rows[name]["after"]) < 0.1 * rows[name]["before"] for name in SETS
    )


@null("bias-causes", "placebo units in the place of the suspects")
def placebo_suspects(seed: int) -> StudyResult:
    return conclude(measured_with(seed, (0.0, 0.0, 0.0)), "placebo units", SETS, seed)


@null("bias-causes", "an eraser of texts that no direction tells apart")
def no_direction(seed: int) -> StudyResult:
    return conclude(erased_with(seed, 0.0), "a direction", SETS, seed)
