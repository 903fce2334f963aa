"""The review page's HTTP server: routes to what `overview`, `tables`, `target` and their neighbours say.

`docs/review.md` describes the interface, `/api/openapi.json` in full. Functions here read a request, call, and answer;
they run in threads, so that a slow answer holds up no other.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ...tools.errors import ArgumentError, CorruptError, HubelError, UnavailableError, UsageError
from . import activations, comparing, overview, reviewing, tables, target
from .again import AgainBody, Jobs
from .holdout import Sealed, predicted_on_holdout
from .interface import COMPARED, DIRECTIONS, LISTED, PAGED, SPLITS, TEXT, Operation, describe
from .library import CIRCUIT, Library, Run, Unknown, inside
from .live import CallBody, Live, TryBody, listed
from .safety import SLASH, TooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATIC = Path(__file__).parent / "static"
STATUS: Mapping[type[Exception], int] = {
    Unknown: 404,
    Sealed: 403,
    ArgumentError: 400,
    UsageError: 400,
    UnavailableError: 409,
    CorruptError: 409,
    HubelError: 400,
    TooLarge: 413,
}


class Answer(JSONResponse):
    """JSON whatever is in it: what is no number is null, lone surrogates are escaped."""

    def render(self, content: Any) -> bytes:
        return plain_json(content)


def plain_json(content: Any) -> bytes:
    """Compact ASCII JSON; a number that is none becomes null."""
    try:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(content), separators=(",", ":"), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


_Body = TypeVar("_Body", bound=BaseModel)
Endpoint = Callable[["Site", Request, Any], Any]


class Site:
    """What the routes work with."""

    def __init__(self, library: Library, live: Live) -> None:
        self.library, self.live, self.jobs = library, live, Jobs(library)

    def run(self, request: Request) -> Run:
        """The run of a request's path, kept up with its log."""
        run = self.library.run(_name(request, "run"))
        if run.has_log and run.problem:
            raise CorruptError(run.problem)
        return run

    def unit_run(self, request: Request) -> Run:
        """The same, for what only a run of units has."""
        run = self.run(request)
        if not run.has_log:
            raise Unknown(f"{run.name} is a circuit and has no list of targets; see /runs/{run.name}/circuit")
        if not run.is_known():
            raise UnavailableError(f"{run.name} is being read for the first time; ask again in a moment")
        return run


def _name(request: Request, part: str) -> str:
    return request.path_params[part].replace(SLASH, "/")


def runs(site: Site, request: Request, body: Any) -> Any:
    """All runs, the newest first."""
    return {"runs": overview.run_rows(site.library)}


def one_run(site: Site, request: Request, body: Any) -> Any:
    """One run: its row, its settings, what its targets can be filtered by, and how people's verdicts agree with it."""
    run = site.library.run(_name(request, "run"))
    row = next(row for row in overview.run_rows(site.library) if row["name"] == run.name)
    if run.has_log and not run.problem:
        threading.Thread(target=activations.data_of, args=(run.folder,), daemon=True).start()  # a target is next
    return overview.run_page(run, row, _notices(run, row))


def _notices(run: Run, row: Mapping[str, Any]) -> list[str]:
    from .filling import notices

    found = [row["notice"]] if row["notice"] else []
    if run.has_log and not run.problem:
        with run.store.reading() as db:
            found += notices(db)
    return found


def targets(site: Site, request: Request, body: Any) -> Any:
    """A run's targets, sorted, filtered and in pages."""
    run, wanted = site.unit_run(request), tables.Wanted.of(request.query_params)
    with run.store.reading() as db:
        found = tables.list_targets(db, wanted)
    return found._asdict() | {"rows": target.with_reviews(run, found.rows)}


def search(site: Site, request: Request, body: Any) -> Any:
    """Words in explanations, transcripts and exemplar text."""
    run, query = site.unit_run(request), request.query_params
    places = (query.get("in") or ",".join(tables.PLACES)).split(",")
    if unknown := [place for place in places if place not in tables.PLACES]:
        raise ArgumentError(f"in={unknown[0][:50]!r} is not known; search in {', '.join(tables.PLACES)}")
    words = query.get("q", "")
    offset, limit = tables.whole(query, "offset", 0, 10**9), tables.whole(query, "limit", 50, 200)
    with run.store.reading() as db:
        found = tables.search(db, words, places, offset, limit)
    found["hits"] = [_with_text(run, hit, words) for hit in found["hits"]]
    return found


def _with_text(run: Run, hit: dict[str, Any], words: str) -> dict[str, Any]:
    from .conversation import searched

    if (place := hit.pop("place", None)) is None:
        return hit
    text = "".join(searched(reply) for reply in target.replies(run, [place]))
    return hit | tables.snippet(text, words)


def one_target(site: Site, request: Request, body: Any) -> Any:
    """Everything about one target."""
    return target.target_page(site.unit_run(request), _name(request, "target"))


def predicted(site: Site, request: Request, body: Any) -> Any:
    """Predicted beside true activations, the worst misses first."""
    run, name, query = site.unit_run(request), _name(request, "target"), request.query_params
    split = query.get("split") or "select"
    if split not in ("explore", "select", "holdout"):
        raise ArgumentError(f"split={split[:50]!r} is not known; give explore, select or holdout")
    most = tables.whole(query, "limit", activations.MISSES, activations.MOST_MISSES)
    offset = tables.whole(query, "offset", 0, 10**6)
    with run.store.reading() as db:
        row = target.row_of(run, db, name)
        score = db.execute(
            "select value r, low, high from scores where position = ? and split = ? and hypothesis = "
            "(select hypothesis from targets t where t.position = scores.position)",
            [row["position"], split],
        ).fetchone()
    found = _misses(run, name, row["predicate"], split, most, offset)
    return found | {"measure": dict(score) if score is not None else None}


def _misses(run: Run, name: str, predicate: str | None, split: str, most: int, offset: int) -> dict[str, Any]:
    nothing = activations.NO_MAPS | {"split": split}
    if split == "holdout":
        return predicted_on_holdout(run, name, predicate, most, offset) if predicate else nothing
    data = activations.data_of(run.folder)
    if predicate is None or data is None:
        return nothing
    collected = data.explore if split == "explore" else data.select
    return activations.misses(name, predicate, collected, data.lexicon, split, most, offset)


def transcript(site: Site, request: Request, body: Any) -> Any:
    """Some turns of a target's transcript."""
    query = request.query_params
    offset, limit = tables.whole(query, "offset", 0, 10**9), tables.whole(query, "limit", 50, 200)
    return target.transcript(site.unit_run(request), _name(request, "target"), offset, limit)


def circuit(site: Site, request: Request, body: Any) -> Any:
    """The circuit that was found, as the run wrote it."""
    run = site.library.run(_name(request, "run"), fresh=False)
    try:
        return json.loads(inside(run, CIRCUIT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Unknown(f"{run.name} holds no circuit") from None
    except ValueError as error:
        raise CorruptError(f"the circuit of {run.name} cannot be read ({error}); make it again") from None


def comparison(site: Site, request: Request, body: Any) -> Any:
    """Two runs on the targets that both have."""
    query = request.query_params
    pair = []
    for side in "ab":
        if not query.get(side):
            raise ArgumentError("name two runs: ?a=RUN&b=RUN")
        run = site.library.run(query[side])
        if not run.has_log or run.problem:
            raise ArgumentError(run.problem or f"{run.name} is a circuit and has no targets to compare")
        pair.append(run)
    return comparing.compare(pair[0], pair[1], query)


def add_review(site: Site, request: Request, body: Any) -> Any:
    """A person's word on a target, or taking it back."""
    run = site.unit_run(request)
    return reviewing.add_review(run, _name(request, "target"), _checked(reviewing.ReviewBody, body))


def open_holdout(site: Site, request: Request, body: Any) -> Any:
    """Open a target's held-out text; that is written down."""
    run = site.unit_run(request)
    return reviewing.open_holdout(run, _name(request, "target"), _checked(reviewing.Named, body).name)


def _checked(model: type[_Body], body: Any) -> _Body:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False)]
        raise ArgumentError("; ".join(faults)[:1000]) from None


def events(site: Site, request: Request, body: Any) -> Any:
    """A number that changes when there is something new of a run, or of any run when none is named."""
    name = request.query_params.get("run")
    names = [name] if name else site.library.names()
    found = [site.library.run(one) for one in names]
    return {"version": "-".join(str(_version(run)) for run in found)}


def _version(run: Run) -> int:
    from .store import get_meta

    if not run.has_log or run.problem:
        return 0
    with run.store.reading() as db:
        return int(get_meta(db, "version") or 0)


def live(site: Site, request: Request, body: Any) -> Any:
    """Whether texts can be tried."""
    return site.live.state()


def try_text(site: Site, request: Request, body: Any) -> Any:
    """A target's activations on a text of one's own, or on two."""
    run, name = site.unit_run(request), _name(request, "target")
    checked = _checked(TryBody, body)
    with run.store.reading() as db:
        row = target.row_of(run, db, name)
    if row["kind"] != "unit":
        raise ArgumentError(f"{name} is a {row['kind']}, no unit of the subject: it does nothing on new text")
    return site.live.try_text(run, name, row["predicate"], checked)


def instruments(site: Site, request: Request, body: Any) -> Any:
    """All instruments, with the schema of their arguments."""
    return listed()


def call_instrument(site: Site, request: Request, body: Any) -> Any:
    """Any instrument by hand; none can reach held-out text."""
    checked = _checked(CallBody, body)
    run = site.library.run(checked.run)
    if not run.has_log or run.problem:
        raise ArgumentError(run.problem or f"{run.name} is a circuit; name a run of units")
    return site.live.call(_name(request, "name"), run, checked)


def explain_again(site: Site, request: Request, body: Any) -> Any:
    """Explain a target again with a note to the explainer, in a run of its own."""
    run, checked = site.unit_run(request), _checked(AgainBody, body)
    return Answer({"job": site.jobs.start(run, _name(request, "target"), checked)}, status_code=202)


def job(site: Site, request: Request, body: Any) -> Any:
    """How far an explanation that was asked for is."""
    return site.jobs.state(_name(request, "job"))


def openapi(site: Site, request: Request, body: Any) -> Any:
    """This interface, described."""
    return describe(ROUTES)


RUN, TARGET = "/api/runs/{run}", "/api/runs/{run}/targets/{target}"
ROUTES: Sequence[Operation] = (
    Operation("GET", "/api/runs", runs),
    Operation("GET", RUN, one_run),
    Operation("GET", f"{RUN}/targets", targets, LISTED),
    Operation("GET", f"{RUN}/search", search, {"q": TEXT, "in": TEXT} | PAGED),
    Operation("GET", f"{RUN}/circuit", circuit),
    Operation("GET", TARGET, one_target),
    Operation("GET", f"{TARGET}/predicted", predicted, {"split": SPLITS} | PAGED),
    Operation("GET", f"{TARGET}/transcript", transcript, PAGED),
    Operation("POST", f"{TARGET}/reviews", add_review, body=reviewing.ReviewBody),
    Operation("POST", f"{TARGET}/open-holdout", open_holdout, body=reviewing.Named),
    Operation("POST", f"{TARGET}/try", try_text, body=TryBody),
    Operation("POST", f"{TARGET}/explain-again", explain_again, body=AgainBody, status=202),
    Operation("GET", "/api/jobs/{job}", job),
    Operation("GET", "/api/compare", comparison, {"a": TEXT, "b": TEXT, "sort": COMPARED, "dir": DIRECTIONS} | PAGED),
    Operation("GET", "/api/instruments", instruments),
    Operation("POST", "/api/instruments/{name}", call_instrument, body=CallBody),
    Operation("GET", "/api/live", live),
    Operation("GET", "/api/events", events, {"run": TEXT}),
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


def make_app(library: Library, *, live: bool = False) -> Starlette:
    """The application, without the guard that stands before it (`safety.Guard`).

    Args:
        live: whether the subject may be loaded, to try texts.
    """
    site = Site(library, Live(live))

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=_warm, daemon=True).start()
        yield
        site.jobs.close()
        library.close()

    routes: list[BaseRoute] = [
        Route(operation.path, _route(site, operation.answer), methods=[operation.method]) for operation in ROUTES
    ]
    routes += [Route(path, _shell) for path in PAGES]
    if STATIC.is_dir():
        routes.append(Mount("/static", StaticFiles(directory=STATIC)))
    handlers: dict[Any, Any] = dict.fromkeys(STATUS, _explained)
    handlers |= {HTTPException: _http_error, Exception: _defect}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=life)
    app.router.redirect_slashes = False  # an address is what it is
    return app


def _warm() -> None:
    """Import now what the first page of a target would wait for."""
    for module in ("pyarrow.parquet", "scipy.stats"):
        import_module(module)
    for module in ("..lexicon", "..notebook", "..verify"):
        import_module(module, __package__)


def _route(site: Site, endpoint: Endpoint) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        body = await _body(request) if request.method == "POST" else None
        found = await run_in_threadpool(endpoint, site, request, body)
        return found if isinstance(found, Response) else Answer(found)

    answer.__name__ = endpoint.__name__
    return answer


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ArgumentError("the request's body is no JSON") from None
    if not isinstance(found, dict):
        raise ArgumentError("the request's body must be a JSON object")
    return found


async def _shell(request: Request) -> Response:
    page = STATIC / "index.html"
    if not page.exists():
        raise UnavailableError("the front end is not installed; the data is under /api/runs")
    return FileResponse(page, headers={"cache-control": "no-store"})


def _explained(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return Answer({"error": " ".join(str(error).split()) or "the request is too large"}, status_code=status)


def _http_error(request: Request, error: HTTPException) -> Response:
    said = {404: "there is nothing at this address", 405: "this address does not take that method"}
    return Answer({"error": said.get(error.status_code, error.detail)}, error.status_code, headers=error.headers)


def _defect(request: Request, error: Exception) -> Response:
    return Answer({"error": f"a defect of hubel ({type(error).__name__}); the terminal shows where"}, status_code=500)
