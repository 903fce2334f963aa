"""What each family of concepts is worth: the same search without it.

A unit whose formula has no concept of the family is not searched again: its formula stays. (Another
concept among those tried may tip a choice either way, which is noise and no worth of the family.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...agent.explainers.compositional import Compositional
from ...tools.dissection.concepts import FAMILIES, Concept, find_family
from .summary import mean

if TYPE_CHECKING:
    from .measure import ExplanationBench, ExplanationRow

WORTH = ("r", "meaning", "unseen")
"""Figures that are compared."""


def families(text: str) -> list[str]:
    """The families of `--ablate`: all, or those that are listed.

    Raises:
        UsageError: there is no family of a name.
    """
    names = list(FAMILIES) if text == "all" else [name.strip() for name in text.split(",")]
    for name in names:
        find_family(name)
    return names


def without(family: str) -> Callable[[Concept], bool]:
    """Whether a concept is neither of a family nor has a part that is."""

    def allowed(concept: Concept) -> bool:
        return concept.family != family and all(map(allowed, concept.parts()))

    return allowed


def uses(row: ExplanationRow, allowed: Callable[[Concept], bool]) -> bool:
    """Whether a unit's formula has a concept that is not allowed."""
    return not all(allowed(term.concept) for term in row.formula.terms)


def ablation_lines(
    bench: ExplanationBench, rows: Sequence[ExplanationRow], names: Sequence[str]
) -> list[dict[str, Any]]:
    """A line for each family: means over neurons and heads without it, and what they are less than with it.

    Args:
        rows: the units' rows with all families.
    """
    lines = []
    by_target = {row.target: row for row in rows}
    units = [measured for measured in bench.drawn.units if measured.kind != "rotated"]
    for name in names:
        allowed = without(name)
        explainer = Compositional(bench.drawn.draw.seed, allowed)
        used = sum(uses(by_target[str(unit.unit)], allowed) for unit in units)
        line: dict[str, Any] = {"without": name, "targets": len(units), "used": used}
        reduced = [
            bench.row(explainer, unit._replace(in_halves=False), f"without {name}")
            if uses(by_target[str(unit.unit)], allowed)
            else by_target[str(unit.unit)]
            for unit in units
        ]
        for figure in WORTH:
            pairs = [
                (row.figures[figure], by_target[row.target].figures[figure]) for row in reduced
            ]
            known = [(a, b) for a, b in pairs if a is not None and b is not None]
            line[figure] = mean(a for a, _ in known)
            line[f"{figure}_lost"] = mean(b - a for a, b in known)
        lines.append(line)
    return lines
