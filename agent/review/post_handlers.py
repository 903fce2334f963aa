"""Operations that do something: a person's verdict, a text or an instrument tried, an explanation
asked for again.

The models of their bodies are imported where a body is read: to look at a run none is needed.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from ...tools.errors import ArgumentError
from . import write_review
from .app_state import AppState, name
from .json_response import JsonResponse
from .rows import row_of
from .try_subject import listed


def add_review(site: AppState, request: Request, body: Any) -> Any:
    """A person's word on a target, or taking it back."""
    from .request_models import ReviewBody, checked

    run = site.unit_run(request)
    return write_review.add_review(
        run, name(request, "target"), checked(ReviewBody, body), site.jobs.score_elsewhere
    )


def open_holdout(site: AppState, request: Request, body: Any) -> Any:
    """Open a target's held-out text; that is written down."""
    from .request_models import Named, checked

    run = site.unit_run(request)
    return write_review.open_holdout(run, name(request, "target"), checked(Named, body).name)


def live(site: AppState, request: Request, body: Any) -> Any:
    """Whether texts can be tried."""
    return site.live.state()


def try_text(site: AppState, request: Request, body: Any) -> Any:
    """A target's activations on a text of one's own, or on two."""
    from .request_models import TryBody, checked

    run, target = site.unit_run(request), name(request, "target")
    texts = checked(TryBody, body)
    with run.store.reading() as db:
        row = row_of(run, db, target)
    if row["kind"] != "unit":
        raise ArgumentError(
            f"{target} is a {row['kind']}, no unit of the subject: it does nothing on new text"
        )
    return site.live.try_text(run, target, row["predicate"], texts)


def instruments(site: AppState, request: Request, body: Any) -> Any:
    """All instruments, with the schema of their arguments."""
    return listed()


def call_instrument(site: AppState, request: Request, body: Any) -> Any:
    """Any instrument by hand; none can reach held-out text."""
    from .request_models import CallBody, checked

    call = checked(CallBody, body)
    run = site.library.run(call.run)
    if not run.has_log or run.problem:
        raise ArgumentError(run.problem or f"{run.name} is a circuit; name a run of units")
    return site.live.call(name(request, "name"), run, call)


def explain_again(site: AppState, request: Request, body: Any) -> Any:
    """Explain a target again, with a note to the explainer or on other text, in a run of its own."""
    from .request_models import AgainBody, checked

    run, asked = site.unit_run(request), checked(AgainBody, body)
    return JsonResponse(
        {"job": site.jobs.start(run, name(request, "target"), asked)}, status_code=202
    )


def job(site: AppState, request: Request, body: Any) -> Any:
    """How far an explanation that was asked for is."""
    return site.jobs.state(name(request, "job"))
