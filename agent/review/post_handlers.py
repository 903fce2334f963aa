"""Operations that do something: a person's review, a text or an instrument tried, a target explained again.

`body` is the request's body as the model that the operation names in `server.ROUTES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from ...tools.errors import ArgumentError
from . import write_review
from .app_state import AppState, name
from .target_list import row_of
from .try_subject import instrument_list

if TYPE_CHECKING:
    from .request_models import AgainBody, CallBody, Named, ReviewBody, TryBody


def add_review(state: AppState, request: Request, body: ReviewBody) -> Any:
    """A person's word on a target, or taking it back."""
    run, target = state.unit_run(request), name(request, "target")
    return write_review.add_review(run, target, body, state.jobs.score_elsewhere)


def open_holdout(state: AppState, request: Request, body: Named) -> Any:
    """Open a target's held-out text; the log keeps who opened it."""
    return write_review.open_holdout(state.unit_run(request), name(request, "target"), body.name)


def live(state: AppState, request: Request, body: Any) -> Any:
    """Whether texts can be tried."""
    return state.live.state()


def try_text(state: AppState, request: Request, body: TryBody) -> Any:
    """A target's activations on a text, or on two."""
    run, target = state.unit_run(request), name(request, "target")
    with run.store.reading() as db:
        row = row_of(run, db, target)
    if row["kind"] != "unit":
        raise ArgumentError(
            f"{target} is a {row['kind']} and not a unit of the subject: it does nothing on new text"
        )
    return state.live.try_text(run, target, row["predicate"], body)


def instruments(state: AppState, request: Request, body: Any) -> Any:
    """All instruments, with the schema of their arguments."""
    return {"instruments": instrument_list()}


def call_instrument(state: AppState, request: Request, body: CallBody) -> Any:
    """Call any instrument; none can reach held-out text."""
    run = state.catalog.run(body.run)
    if not run.is_unit_run or run.problem:
        raise ArgumentError(run.problem or f"{run.name} is a {run.kind}; name a run of units")
    return state.live.call(name(request, "name"), run, body)


def explain_again(state: AppState, request: Request, body: AgainBody) -> Any:
    """Explain a target again in a new run, with a note to the explainer or on other text."""
    return {"job": state.jobs.start(state.unit_run(request), name(request, "target"), body)}


def job(state: AppState, request: Request, body: Any) -> Any:
    """How far a run that the page started is."""
    return state.jobs.state(name(request, "job"))
