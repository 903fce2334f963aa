"""Causal abstraction of one place as a row: held-out accuracy, and a search with its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ....evals.statistics.fdr import wilson

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool
    from torch import Tensor

    from ....tools.abstraction.interchange import InterchangeResult
    from ....tools.abstraction.question import AbstractionQuestion
    from ....tools.subject import Subject

SEARCHED = ("found", "placebo", "random_model", "arbitrary")
"""The subspace that a search finds, and its three controls."""


class AbstractionRequest(NamedTuple):
    """Where to look for the variable, and how.

    Attributes:
        at: an input's name, or `end`.
        k: number of directions to search for; 0 for no search.
        pairs: number of pairs in each part.
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
    request: AbstractionRequest,
    redrawn: Callable[[], Subject],
) -> dict[str, Any]:
    """Interchange accuracy (IIA) of one place, with 95 % intervals over held-out pairs.

    The row has the accuracy of the whole place and, if k > 0, of the subspace that a search finds on
    training pairs.

    Args:
        redrawn: returns the subject with re-drawn weights, a control of the search.
    """
    from ....tools.abstraction.das import search
    from ....tools.abstraction.interchange import Location, draw_interchanges, interchange

    place = Location(request.kind, request.layer, (question.position(subject, request.at),))
    training = question.behaviour(subject, question.program)
    heldout = question.behaviour(subject, question.heldout)
    held_out = draw_interchanges(heldout, question.variable, request.pairs, request.seed + 1)
    whole = interchange(subject, heldout, place, held_out)
    row = {
        "question": question.name,
        "variable": question.variable,
        "subject": subject.name,
        **request._asdict(),
        "position": place.positions[0],
        "pairs": len(held_out.base),
        "no_op": _rate(whole.no_op),
        "whole": _accuracies(whole),
        **dict.fromkeys(SEARCHED),
        "real_minus_control": None,
    }
    if not request.k:
        return row
    train = draw_interchanges(training, question.variable, request.pairs, request.seed)
    options = {"k": request.k, "steps": request.steps, "seed": request.seed, "redrawn": redrawn()}
    result = search(subject, training, question.variable, place, train, held_out, **options)
    searched = {name: _accuracies(getattr(result, name)) for name in SEARCHED}
    return row | searched | {"real_minus_control": result.real_minus_control}


def _accuracies(result: InterchangeResult) -> dict[str, Any]:
    changed = result.correct[result.changes]
    return {"iia": _rate(result.correct), "where_it_changes": _rate(changed)}


def _rate(correct: Bool[Tensor, " pairs"]) -> dict[str, float]:
    return wilson(int(correct.sum()), len(correct))._asdict()
