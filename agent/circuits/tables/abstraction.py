"""Causal abstraction of one place as a row: accuracy on held-out pairs, and a search beside its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ....evals.statistics.fdr import wilson

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....tools.abstraction.das import Abstraction
    from ....tools.abstraction.interchange import InterchangeResult
    from ....tools.abstraction.question import AbstractionQuestion
    from ....tools.subject import Subject

SEARCHED = ("found", "placebo", "random_model", "arbitrary")


class AbstractionRequest(NamedTuple):
    """What is asked of one place.

    Attributes:
        at: an input's name, or `end`; `k`: directions of the search, 0 for none; `pairs`: of each part.
    """

    kind: Literal["stream", "mlp", "z"]
    layer: int
    at: str
    k: int
    pairs: int
    steps: int
    seed: int


def abstraction_row(
    subject: Subject,
    question: AbstractionQuestion,
    asked: AbstractionRequest,
    redrawn: Callable[[], Subject],
) -> dict[str, Any]:
    """IIA of the whole place, and, where k > 0, of the subspace that a search finds, with 95 %
    intervals over pairs.

    All on held-out pairs; searches see training pairs alone.

    Args:
        redrawn: gives the subject with re-drawn weights, which a search is held against.
    """
    from ....tools.abstraction.das import search
    from ....tools.abstraction.interchange import Location, draw_interchanges, interchange

    place = Location(asked.kind, asked.layer, (question.position(subject, asked.at),))
    training, heldout = (
        question.behaviour(subject, each) for each in (question.program, question.heldout)
    )
    held_out = draw_interchanges(heldout, question.variable, asked.pairs, asked.seed + 1)
    whole = interchange(subject, heldout, place, held_out)
    row = {
        "question": question.name,
        "variable": question.variable,
        "subject": subject.name,
        **asked._asdict(),
        "position": place.positions[0],
        "pairs": len(held_out.base),
        "no_op": _rate(whole.no_op),
        "whole": _accuracies(whole),
        **dict.fromkeys(SEARCHED),
        "real_minus_control": None,
    }
    if not asked.k:
        return row
    train = draw_interchanges(training, question.variable, asked.pairs, asked.seed)
    options = {"k": asked.k, "steps": asked.steps, "seed": asked.seed, "redrawn": redrawn()}
    found = search(subject, training, question.variable, place, train, held_out, **options)
    return row | _searched(found)


def _searched(found: Abstraction) -> dict[str, Any]:
    row: dict[str, Any] = {name: _accuracies(getattr(found, name)) for name in SEARCHED}
    return row | {"real_minus_control": found.real_minus_control}


def _accuracies(found: InterchangeResult) -> dict[str, Any]:
    return {"iia": _rate(found.correct), "where_it_changes": _rate(found.correct[found.changes])}


def _rate(correct: Any) -> dict[str, float]:
    return wilson(int(correct.sum()), len(correct))._asdict()
