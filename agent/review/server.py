"""The review page's HTTP server: addresses and the operations that answer them, static files, errors.

`docs/review.md` describes the interface, `/api/openapi.json` in full.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ...tools.errors import ArgumentError, CorruptError, HubelError, UnavailableError, UsageError
from . import get_handlers, post_handlers
from .app_state import AppState
from .guard import TooLarge
from .holdout import Sealed
from .json_response import JsonResponse, plain_json
from .openapi import COMPARED, DIRECTIONS, LISTED, PAGED, SPLITS, TEXT, Operation, describe
from .run_catalog import RunCatalog, UnknownName
from .try_subject import SubjectSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATIC = Path(__file__).parent / "static"
STATUS: Mapping[type[Exception], int] = {
    UnknownName: 404,
    Sealed: 403,
    ArgumentError: 400,
    UsageError: 400,
    UnavailableError: 409,
    CorruptError: 409,
    HubelError: 400,
    TooLarge: 413,
}


def openapi(state: AppState, request: Request, body: Any) -> Any:
    """The OpenAPI description of these routes."""
    return describe(ROUTES)


RUN, TARGET = "/api/runs/{run}", "/api/runs/{run}/targets/{target}"
ROUTES: Sequence[Operation] = (
    Operation("GET", "/api/runs", get_handlers.runs),
    Operation("GET", RUN, get_handlers.one_run),
    Operation("GET", f"{RUN}/targets", get_handlers.targets, LISTED),
    Operation("GET", f"{RUN}/search", get_handlers.search, {"q": TEXT, "in": TEXT} | PAGED),
    Operation("GET", f"{RUN}/circuit", get_handlers.circuit),
    Operation("GET", f"{RUN}/study", get_handlers.study),
    Operation("GET", TARGET, get_handlers.one_target),
    Operation("GET", f"{TARGET}/predicted", get_handlers.predicted, {"split": SPLITS} | PAGED),
    Operation("GET", f"{TARGET}/transcript", get_handlers.transcript, PAGED),
    Operation("POST", f"{TARGET}/reviews", post_handlers.add_review, body="ReviewBody"),
    Operation("POST", f"{TARGET}/open-holdout", post_handlers.open_holdout, body="Named"),
    Operation("POST", f"{TARGET}/try", post_handlers.try_text, body="TryBody"),
    Operation(
        "POST", f"{TARGET}/explain-again", post_handlers.explain_again, body="AgainBody", status=202
    ),
    Operation("GET", "/api/jobs/{job}", post_handlers.job),
    Operation(
        "GET",
        "/api/compare",
        get_handlers.comparison,
        {"a": TEXT, "b": TEXT, "sort": COMPARED, "dir": DIRECTIONS} | PAGED,
    ),
    Operation("GET", "/api/instruments", post_handlers.instruments),
    Operation("POST", "/api/instruments/{name}", post_handlers.call_instrument, body="CallBody"),
    Operation("GET", "/api/live", post_handlers.live),
    Operation("GET", "/api/events", get_handlers.events, {"run": TEXT}),
    Operation("GET", "/api/openapi.json", openapi),
)
PAGES = (
    "/",
    "/runs/{run}",
    "/runs/{run}/targets/{target}",
    "/runs/{run}/targets/{target}/transcript",
    "/runs/{run}/circuit",
    "/compare",
    "/try",
)


def make_app(catalog: RunCatalog, *, live: bool = False) -> Starlette:
    """The application, without the guard in front of it (`guard.Guard`).

    Args:
        live: whether the subject may be loaded, to try texts.
    """
    state = AppState(catalog, SubjectSession(live))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=_warm_up, args=(state.first_answer,), daemon=True).start()
        yield
        state.jobs.close()
        catalog.close()

    routes: list[BaseRoute] = [
        Route(operation.path, _endpoint(state, operation), methods=[operation.method])
        for operation in ROUTES
    ]
    routes += [Route(path, _page) for path in PAGES]
    if STATIC.is_dir():
        routes.append(Mount("/static", StaticFiles(directory=STATIC)))
    handlers: dict[Any, Any] = dict.fromkeys(STATUS, _expected_error)
    handlers |= {HTTPException: _http_error, Exception: _defect}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _warm_up(first_answer: threading.Event) -> None:
    """Import what the first page of a target needs, after the first answer, so as not to delay that."""
    first_answer.wait()
    for module in ("pyarrow.parquet", "numpy", "scipy.special"):
        import_module(module)
    for module in (
        ".target_page",
        "..runlog.lexicon",
        "..rescoring.notebook",
        "..investigation.verify",
    ):
        import_module(module, __package__)


def _endpoint(state: AppState, operation: Operation) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        body = await _body(request, operation) if operation.body else None

        def compute() -> bytes:
            return plain_json(operation.answer(state, request, body))

        question: Any = object()  # a request that changes something is like no other
        if operation.method == "GET":
            question = operation.path, tuple(request.path_params.items()), request.url.query
        threads = state.readers if operation.method == "GET" else state.writers
        content = await threads.answer(question, request.client, compute)
        return Response(content, operation.status, media_type="application/json")

    answer.__name__ = operation.answer.__name__
    return answer


async def _body(request: Request, operation: Operation) -> Any:
    from . import request_models  # pydantic is slow to import, and looking needs none

    try:
        content = json.loads(await request.body(), parse_constant=_refuse_constant)
        json.dumps(content, ensure_ascii=False).encode()
    except ClientDisconnect:
        raise ArgumentError("the request ended before its body did") from None
    except UnicodeEncodeError:
        raise ArgumentError("the request has half a surrogate pair, which is not text") from None
    except (ValueError, RecursionError):
        raise ArgumentError("the request's body is not JSON") from None
    if not isinstance(content, dict):
        raise ArgumentError("the request's body must be a JSON object")
    return request_models.parse(getattr(request_models, str(operation.body)), content)


def _refuse_constant(name: str) -> None:
    """NaN and infinities, which Python would read, are not JSON."""
    raise ValueError(name)


async def _page(request: Request) -> Response:
    page = STATIC / "index.html"
    if not page.exists():
        raise UnavailableError("the front end is not installed; the data is under /api/runs")
    return FileResponse(page, headers={"cache-control": "no-store"})


def _expected_error(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    message = " ".join(str(error).split()) or "the request is too large"
    return JsonResponse({"error": message}, status_code=status)


def _http_error(request: Request, error: HTTPException) -> Response:
    messages = {
        404: "there is nothing at this address",
        405: "this address does not take that method",
    }
    message = messages.get(error.status_code, error.detail)
    return JsonResponse({"error": message}, error.status_code, headers=error.headers)


def _defect(request: Request, error: Exception) -> Response:
    message = f"a defect of hubel ({type(error).__name__}); the terminal shows where"
    return JsonResponse({"error": message}, status_code=500)
