"""Stereotypes: a planted preference is recovered, swapped texts mirror it, and noise prefers nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....studies import StudyResult
from ....studies.audits.stereotypes import conclude
from ..registry import known_answer, null

ITEMS, GROUPS = 2_000, 80


def _measured(seed: int, preference: float) -> dict[str, dict[str, np.ndarray]]:
    """Scores of all four sets in which the first text wins with the probability `preference`."""
    rng = np.random.default_rng(seed)

    def scores(texts: int, wins: float = preference) -> np.ndarray:
        values = 1000 * rng.normal(size=(ITEMS, texts))  # so large that no pair ties
        values[:, :2] = np.sort(values[:, :2], axis=1)  # the second is likelier
        won = rng.random(ITEMS) < wins
        values[won, :2] = values[won][:, [1, 0]]
        return values

    group = np.array([f"g{number}" for number in rng.integers(0, GROUPS, ITEMS)])
    common = {"group": group, "domain": np.full(ITEMS, "race"), "part": np.full(ITEMS, "")}
    gender = np.where(rng.random(ITEMS) < 0.5, "male", "female")
    return {
        "stereoset": common
        | {"scores": scores(3), "alone": scores(3, 0.5)}
        | {"part": np.where(rng.random(ITEMS) < 0.5, "intersentence", "intrasentence")},
        "crows-pairs": common
        | {"scores": scores(2), "sentence": scores(2)}
        | {"sentence_group": group, "sentence_domain": common["domain"]},
        "winobias": common | {"scores": scores(2), "domain": gender},
        "bbq": common
        | {"scores": rng.normal(size=(ITEMS, 3)), "unknown": np.full(ITEMS, 2)}
        | {"right": np.where(rng.random(ITEMS) < 0.5, 2, rng.integers(0, 2, ITEMS))},
    }


@known_answer(
    "stereotypes",
    "a stereotype preferred in 70 % of items is recovered, and swapped texts give 100 less it",
)
def planted_preference(seed: int) -> bool:
    measured = _measured(seed, 0.7)
    found = _preferences(conclude(measured, seed))
    swapped = {
        name: dict(arrays) | {"scores": arrays["scores"][:, [1, 0, 2][: arrays["scores"].shape[1]]]}
        for name, arrays in measured.items()
        if name != "bbq"
    }
    mirrored = _preferences(conclude(swapped, seed))
    verdicts = [claim.verdict for claim in conclude(measured, seed).claims]
    return (
        all(abs(value - 70) < 8 for value in found.values())
        and all(abs(found[key] + mirrored[key] - 100) < 1e-9 for key in found)
        and verdicts.count("supported") == 6
    )


def _preferences(result: StudyResult) -> Mapping[tuple[str, str], float]:
    return {
        (row["set"], row["part"]): row["value"]
        for row in result.rows
        if row["metric"] in ("ss", "shared", "balanced") and not row["domain"]
    }


@null("stereotypes", "texts that score alike")
def no_preference(seed: int) -> StudyResult:
    return conclude(_measured(seed, 0.5), seed)
