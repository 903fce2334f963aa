"""From words to formulas: an explanation that hubel made is read back, any other stays words.

A formula predicts activations by itself. Words alone need a judge, which is a language model. Of a
sentence without its formula the amounts are known to a power of two, and the scale is not; one that
lists tokens or has exceptions does not say all of its formula, and stays words.
"""

from __future__ import annotations

from dataclasses import replace

from ...tools.dissection import Predicate
from ...tools.dissection.read_statement import read_statement
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
    return replace(unit, predicate=_formula_of(unit.sentence, unit.unit))


def _formula_of(words: str, address: str) -> str:
    """The formula that some words are, or that they state as hubel states it; else ""."""
    try:
        Predicate.parse(words)
    except HubelError:
        sign = address[-1:]
        side = sign if sign in ("+", "-") else "+" if address.startswith("head.") else "both"
        read = read_statement(words, side)
        return "" if read is None else read.to_text()
    return words


def words_only(explanations: ExplanationSet) -> int:
    """How many explanations only a reader can turn into predictions."""
    return sum(not unit.predicate for unit in explanations.explained)
