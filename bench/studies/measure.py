"""Run the checks of the studies: known answers with a few seeds, nulls with many."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ...evals.statistics.fdr import wilson
from ...studies import Study
from ...studies.verdicts import ERROR_RATE
from .registry import checks_of

NULLS = 200
"""Runs of each null. Of so many, 5 % is told from 10 % in 9 of 10 cases."""
ANSWERS = 3
"""Seeds with which a known answer must hold."""


@dataclass(frozen=True)
class StudyCheck:
    """What the checks of one study gave: a line of `hubel bench studies --json`.

    Attributes:
        passed: every known answer was given with every seed, and no null was supported more often
            than chance allows a study of nothing.
        null_rate: largest share of a null's runs in which a claim was supported.
        nulls: runs of each null.
    """

    study: str
    question: str
    known_answer: str
    passed: bool
    null_rate: float
    nulls: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return asdict(self)


def check_study(
    study: Study,
    nulls: int = NULLS,
    answers: int = ANSWERS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> StudyCheck:
    """Run the checks of one study."""
    began, checks = time.monotonic(), checks_of(study.name)
    total = answers * len(checks.known_answers) + nulls * len(checks.nulls)
    held: list[bool] = []
    for known in checks.known_answers:
        held += [known.holds(seed) for seed in range(answers)]
        progress(len(held), total)
    rates: list[float] = []
    for place, empty in enumerate(checks.nulls):
        supported = 0
        for seed in range(nulls):
            claims = empty.result(seed).claims
            supported += any(claim.verdict == "supported" for claim in claims)
            progress(len(held) + place * nulls + seed + 1, total)
        rates.append(supported / nulls)
    # Of few runs more than 5 % may be supported by chance; of 200 the bound itself is used.
    allowed = ERROR_RATE if nulls >= NULLS else wilson(round(ERROR_RATE * nulls), nulls).high
    return StudyCheck(
        study=study.name,
        question=study.question,
        known_answer="; ".join(known.says for known in checks.known_answers),
        passed=all(held) and max(rates) <= allowed,
        null_rate=max(rates),
        nulls=nulls,
        seconds=round(time.monotonic() - began, 3),
    )
