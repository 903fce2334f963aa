"""The registry of checks: what each study must answer, and how often it may support nothing.

    @known_answer("probe", "a label that is the sign of a direction is read, a random one is not")
    def planted_direction(seed: int) -> StudyResult | bool: ...

    @null("probe", "shuffled labels")
    def shuffled_labels(seed: int) -> StudyResult: ...

1. A known answer returns whether the study gave it.
2. A null returns the study's result on data in which its claims are false. It is run with many
   seeds, and the share of runs in which any claim is *supported* may be at most 5 %.

Both work on arrays that they make themselves wherever the question allows it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import NamedTuple

from ...studies import StudyResult
from ...tools.errors import UsageError


class KnownAnswer(NamedTuple):
    """What a study must find, in words, and the function that tries it with a seed."""

    says: str
    holds: Callable[[int], bool]


class Null(NamedTuple):
    """What there is nothing in, and the study's result on it for a seed."""

    kind: str
    result: Callable[[int], StudyResult]


@dataclass
class StudyChecks:
    """The checks of one study."""

    known_answers: list[KnownAnswer] = field(default_factory=list)
    nulls: list[Null] = field(default_factory=list)


_CHECKS: dict[str, StudyChecks] = {}


def known_answer(study: str, says: str) -> Callable[[Callable[[int], bool]], Callable[[int], bool]]:
    """Register a known answer of a study; the function returns whether it was given."""

    def register(holds: Callable[[int], bool]) -> Callable[[int], bool]:
        _CHECKS.setdefault(study, StudyChecks()).known_answers.append(KnownAnswer(says, holds))
        return holds

    return register


def null(
    study: str, kind: str
) -> Callable[[Callable[[int], StudyResult]], Callable[[int], StudyResult]]:
    """Register a null of a study: its result on data in which its claims are false."""

    def register(result: Callable[[int], StudyResult]) -> Callable[[int], StudyResult]:
        _CHECKS.setdefault(study, StudyChecks()).nulls.append(Null(kind, result))
        return result

    return register


def checks_of(study: str) -> StudyChecks:
    """The checks of a study.

    Raises:
        UsageError: it has no known answer or no null.
    """
    _load()
    checks = _CHECKS.get(study, StudyChecks())
    missing = [
        what
        for what, there in (("known answer", checks.known_answers), ("null", checks.nulls))
        if not there
    ]
    if missing:
        raise UsageError(f"the study {study!r} has no {missing[0]} in bench/studies/checks")
    return checks


@cache
def _load() -> None:
    package = import_module(f"{__package__}.checks")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
