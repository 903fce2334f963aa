"""From words to formulas: an explanation that hubel made is read back, any other stays words.

A formula predicts activations by itself. Words alone need a judge, which is a language model.
"""

from __future__ import annotations

from dataclasses import replace

from ...tools.dissection import Predicate
from ...tools.errors import HubelError, UsageError
from .records import ExplainedUnit, ExplanationSet


def with_formulas(explanations: ExplanationSet) -> ExplanationSet:
    """The set with a formula for each unit whose words or whose file have one.

    Raises:
        UsageError: a formula of the file cannot be read.
    """
    return replace(explanations, units=tuple(map(_with_formula, explanations)))


def _with_formula(unit: ExplainedUnit) -> ExplainedUnit:
    if unit.predicate:
        try:
            Predicate.parse(unit.predicate)
        except HubelError as error:
            raise UsageError(
                f"{unit.place or unit.unit}: its predicate cannot be read: {error}"
            ) from None
        return unit
    return replace(unit, predicate=unit.sentence) if is_formula(unit.sentence) else unit


def is_formula(text: str) -> bool:
    """Whether a text is a predicate as hubel prints it."""
    try:
        Predicate.parse(text)
    except HubelError:
        return False
    return True


def words_only(explanations: ExplanationSet) -> int:
    """How many explanations only a reader can turn into predictions."""
    return sum(not unit.predicate for unit in explanations.explained)
