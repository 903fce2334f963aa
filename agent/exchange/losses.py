"""What a format cannot hold, counted: nothing is dropped silently.

Each format says which *kinds* of things its files have room for. What a set has of the other kinds is
one line for each kind, in the words of `_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, get_args

from .records import ExplainedUnit, ExplanationSet, RecordedScore

Kind = Literal[
    "formulas",
    "model's words",
    "headlines",
    "failures",
    "verdicts",
    "directions",
    "held-out r",
    "other scores",
    "intervals",
    "floors",
    "texts",
    "token logits",
    "statistics",
    "conversations",
]
ALL: frozenset[Kind] = frozenset(get_args(Kind))
HEADLINE_SCORE = ("simulation", "holdout", "random")
"""The score that formats with room for one number have."""


def is_held_out_r(score: RecordedScore) -> bool:
    """Whether a score is the one that a format with room for one number has."""
    return (score.scorer, score.split, score.text) == HEADLINE_SCORE


_KINDS: dict[Kind, Callable[[ExplainedUnit], int]] = {
    "formulas": lambda unit: bool(unit.predicate),
    "model's words": lambda unit: bool(unit.gist),
    "headlines": lambda unit: bool(unit.headline),
    "failures": lambda unit: unit.status != "done",
    "verdicts": lambda unit: bool(unit.verdict or unit.tier) or unit.p is not None,
    "directions": lambda unit: unit.unit.startswith("resid."),
    "held-out r": lambda unit: sum(map(is_held_out_r, unit.scores)),
    "other scores": lambda unit: sum(not is_held_out_r(score) for score in unit.scores),
    "intervals": lambda unit: sum(score.low is not None for score in unit.scores),
    "floors": lambda unit: sum(bool(score.floors) for score in unit.scores),
    "texts": lambda unit: len(unit.texts),
    "token logits": lambda unit: len(unit.promoted) + len(unit.suppressed),
    "statistics": lambda unit: len(unit.statistics),
    "conversations": lambda unit: bool(unit.conversation),
}


def losses(explanations: ExplanationSet, holds: Collection[Kind]) -> list[str]:
    """One line for each kind of thing that the set has and the format has no room for."""
    counts = dict.fromkeys(_KINDS, 0)
    of_units = dict.fromkeys(_KINDS, 0)
    for unit in explanations:
        for kind, count in _KINDS.items():
            if kind not in holds and (n := int(count(unit))):
                counts[kind] += n
                of_units[kind] += 1
    return [
        f"{kind}: {n:,} of {of_units[kind]:,} unit{'s' * (of_units[kind] != 1)}"
        for kind, n in counts.items()
        if n
    ]
