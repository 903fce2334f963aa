"""A formula as a reader goes through it: its terms by weight of evidence, then the tokens that it lists."""

from __future__ import annotations

from typing import TypedDict

from ...tools.errors import HubelError


class FormulaTerm(TypedDict):
    """One concept of a formula. `steps` are signed; `named` says that it is part of the meaning."""

    phrase: str
    degree: str
    steps: int
    named: bool


class ListedWeight(TypedDict):
    """A token that the formula lists, with its signed number of steps."""

    token: str
    steps: int


class FormulaParts(TypedDict):
    """Both parts of a formula. `degrees` are the words for numbers of steps, the weakest first."""

    terms: list[FormulaTerm]
    listed: list[ListedWeight]
    degrees: dict[str, int]


def formula_parts(printed: str | None) -> FormulaParts | None:
    """The parts of a predicate as the log prints it; None if it cannot be read."""
    from ...tools.dissection import Predicate
    from ...tools.dissection.predicate import GRADES

    if not printed:
        return None
    try:
        predicate = Predicate.parse(printed)
    except (HubelError, ValueError, RecursionError):
        return None
    terms = [
        FormulaTerm(
            phrase=term.concept.phrase(),
            degree=term.grade,
            steps=term.weight,
            named=not term.concept.names_tokens(),
        )
        for term in predicate.terms
    ]
    listed = [ListedWeight(token=token.token, steps=token.weight) for token in predicate.listed]
    return FormulaParts(terms=terms, listed=listed, degrees=dict(GRADES))
