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
from .trials import AT_ONCE, CountTrials, Trials, count_here

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
    count: CountTrials = count_here,
) -> StudyCheck:
    """Run the checks of one study.

    Args:
        count: does the runs.
    """
    began, checks = time.monotonic(), checks_of(study.name)
    trials = [
        Trials(study.name, "answer", place, seed, 1)
        for place in range(len(checks.known_answers))
        for seed in range(answers)
    ]
    trials += [
        Trials(study.name, "null", place, first, min(AT_ONCE, nulls - first))
        for place in range(len(checks.nulls))
        for first in range(0, nulls, AT_ONCE)
    ]
    total, done = sum(some.runs for some in trials), 0
    held, supported = 0, [0] * len(checks.nulls)
    for some, counted in count(trials):
        done += some.runs
        progress(done, total)
        if some.kind == "answer":
            held += counted
        else:
            supported[some.place] += counted
    rates = [number / nulls for number in supported]
    # Of few runs more than 5 % may be supported by chance; of 200 the bound itself is used.
    allowed = ERROR_RATE if nulls >= NULLS else wilson(round(ERROR_RATE * nulls), nulls).high
    return StudyCheck(
        study=study.name,
        question=study.question,
        known_answer="; ".join(known.says for known in checks.known_answers),
        passed=held == answers * len(checks.known_answers) and max(rates) <= allowed,
        null_rate=max(rates),
        nulls=nulls,
        seconds=round(time.monotonic() - began, 3),
    )
