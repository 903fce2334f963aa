"""Deception: a planted flag of a lie is found and named one, a flag of a mismatch is not, noise neither."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.audits.deception import conclude
from ....studies.audits.lie_texts import lie_texts
from ..registry import known_answer, null

WIDTH = 12
REPORTS = lie_texts(innocent=False)
COLUMNS = {
    name: np.array([getattr(row, name) for row in REPORTS])
    for name in ("text", "differs", "scenario", "block")
}


def _measured(seed: int, in_lies: float, in_innocent: float) -> dict[str, np.ndarray]:
    """One layer of noise, with a direction that says that the places differ."""
    rng = np.random.default_rng(seed)
    flag = COLUMNS["differs"] - 0.5
    direction = rng.normal(size=WIDTH)
    lies, innocent = rng.normal(size=(2, 1, len(REPORTS), WIDTH))
    return {
        "lies": lies + in_lies * flag[:, None] * direction,
        "innocent": innocent + in_innocent * flag[:, None] * direction,
        **COLUMNS,
    }


@known_answer(
    "deception",
    "a planted flag of lies has an area of 1 and is a lie; a flag of any mismatch is none; words are "
    "at chance",
)
def planted_flags(seed: int) -> bool:
    lie, mismatch = (conclude(_measured(seed, 8, other), 0, seed) for other in (0, 8))
    (row,) = lie.rows
    return (
        row["auc"] > 0.999
        and abs(row["word_counts_auc"] - 0.5) < 1e-9
        and [claim.verdict for claim in lie.claims] == ["supported", "supported"]
        and mismatch.claims[0].verdict == "supported"
        and mismatch.claims[1].verdict != "supported"
    )


@null("deception", "vectors that know nothing")
def noise(seed: int) -> StudyResult:
    return conclude(_measured(seed, 0, 0), 0, seed)
