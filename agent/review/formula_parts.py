"""A formula as a reader goes through it: its concepts by weight of evidence, then the tokens that it lists."""

from __future__ import annotations

from typing import TypedDict

from ...tools.errors import HubelError


class FormulaTerm(TypedDict):
    """One concept of a formula."""

    concept: str
    degree: str
    steps: int
    """Signed."""
    named: bool
    """Whether it is part of the meaning; the residue's terms require an exact token or word."""
    in_headline: bool
    corrects: bool
    """Whether it only corrects the term before it, and claims nothing itself."""


class ListedWeight(TypedDict):
    """A token that the formula lists, with its signed number of steps."""

    token: str
    steps: int


class FormulaParts(TypedDict):
    """A formula in parts. `degrees` are the words for numbers of steps, the weakest first."""

    terms: list[FormulaTerm]
    listed: list[ListedWeight]
    step: float
    rest: float
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
    headline = {term.concept for term in predicate.headline().terms}
    terms = [
        FormulaTerm(
            concept=term.concept.noun(),
            degree=term.grade,
            steps=term.weight,
            named=not term.concept.names_tokens(),
            in_headline=term.concept in headline,
            corrects=term.is_exception,
        )
        for term in predicate.terms
    ]
    listed = [ListedWeight(token=token.token, steps=token.weight) for token in predicate.listed]
    return FormulaParts(
        terms=terms,
        listed=listed,
        step=predicate.step,
        rest=predicate.rest,
        degrees=dict(GRADES),
    )
