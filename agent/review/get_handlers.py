"""Operations that look: runs, targets, transcripts, circuits, comparisons.

They run in threads, so that a slow answer holds up no other. What only some of them need (numpy,
pyarrow) is imported where it is needed: the list of runs, with which a visit begins, needs neither.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from starlette.requests import Request

from ...tools.errors import ArgumentError, HubelError
from ...tools.subject.address import Unit
from ..circuits.result import read_circuit
from ..studies.result import read_study
from .app_state import AppState, name
from .holdout import worst_errors_on_holdout
from .run_catalog import StoredRun, UnknownName
from .run_page import run_page
from .run_rows import RunRow, run_rows
from .search import PLACES
from .search import search as search_run
from .store.database import get_meta
from .target_list import TargetQuery, list_targets, row_of, whole_number, with_reviews

MAX_OFFSET = 10**9


def runs(state: AppState, request: Request, body: Any) -> Any:
    """All runs, the newest first."""
    rows = run_rows(state.catalog)
    state.first_answer.set()
    return {"runs": [vars(row) for row in rows]}


def one_run(state: AppState, request: Request, body: Any) -> Any:
    """One run: its row, its settings, filters for its targets, and how people's reviews agree with its verdicts."""
    run = state.catalog.run(name(request, "run"))
    row = next(row for row in run_rows(state.catalog) if row.name == run.name)
    state.first_answer.set()
    if run.is_unit_run and not run.problem:  # a target's page is likely to be next
        threading.Thread(target=_open_activations, args=(run,), daemon=True).start()
    return run_page(run, row, _notices(run, row))


def _open_activations(run: StoredRun) -> None:
    from .token_maps import collected_data

    with suppress(HubelError):  # the target's page says what is wrong with them
        collected_data(run.folder)


def _notices(run: StoredRun, row: RunRow) -> list[str]:
    messages = [row.notice] if row.notice else []
    if run.is_unit_run and not run.problem:
        with run.store.reading() as db:
            messages += filter(None, [get_meta(db, "fault")])
    return messages


def targets(state: AppState, request: Request, body: Any) -> Any:
    """A run's targets, sorted, filtered and in pages."""
    run, query = state.unit_run(request), TargetQuery.of(request.query_params)
    with run.store.reading() as db:
        listed = list_targets(db, query)
    return listed._asdict() | {"rows": with_reviews(run, listed.rows)}


def search(state: AppState, request: Request, body: Any) -> Any:
    """Words in explanations, transcripts and exemplar text."""
    run, query = state.unit_run(request), request.query_params
    places = (query.get("in") or ",".join(PLACES)).split(",")
    if unknown := [place for place in places if place not in PLACES]:
        raise ArgumentError(f"in={unknown[0][:50]!r} is not known; search in {', '.join(PLACES)}")
    offset, limit = _page(request, 50, 200)
    return search_run(run, query.get("q", ""), places, offset, limit)


def _page(request: Request, default: int, maximum: int) -> tuple[int, int]:
    """Offset and limit of a request."""
    query = request.query_params
    offset = whole_number(query, "offset", 0, MAX_OFFSET)
    return offset, whole_number(query, "limit", default, maximum)


def one_target(state: AppState, request: Request, body: Any) -> Any:
    """Everything about one target."""
    from .target_page import target_page

    return target_page(state.unit_run(request), name(request, "target"))


def predicted(state: AppState, request: Request, body: Any) -> Any:
    """Predicted and true activations, the contexts with the largest errors first."""
    from . import token_maps

    run, target = state.unit_run(request), name(request, "target")
    split = request.query_params.get("split") or "select"
    if split not in ("explore", "select", "holdout"):
        raise ArgumentError(f"split={split[:50]!r} is not known; give explore, select or holdout")
    offset, limit = _page(request, token_maps.DEFAULT_ERRORS, token_maps.MAX_ERRORS)
    with run.store.reading() as db:
        row = row_of(run, db, target)
        score = db.execute(
            "select value r, low, high from scores where position = ? and split = ? "
            "and scorer = 'simulation' "
            "and hypothesis = (select hypothesis from targets t where t.position = scores.position)",
            [row["position"], split],
        ).fetchone()
    maps = _worst_errors(run, target, row["predicate"], split, limit, offset)
    return {**maps, "measure": dict(score) if score is not None else None}


def _worst_errors(
    run: StoredRun, target: str, predicate: str | None, split: str, limit: int, offset: int
) -> Any:
    from .token_maps import collected_data, no_maps, worst_errors

    if predicate is None:
        return no_maps(split)
    if split == "holdout":
        return worst_errors_on_holdout(run, target, predicate, limit, offset)
    data = collected_data(run.folder)
    if data is None:
        return no_maps(split)
    collected = data.explore if split == "explore" else data.select
    unit = Unit.parse(target)
    return worst_errors(unit, predicate, collected, data.lexicon, split, limit, offset)


def transcript(state: AppState, request: Request, body: Any) -> Any:
    """Some turns of a target's transcript."""
    from .transcript_page import transcript_page

    offset, limit = _page(request, 50, 200)
    return transcript_page(state.unit_run(request), name(request, "target"), offset, limit)


def circuit(state: AppState, request: Request, body: Any) -> Any:
    """The circuit of a circuit run, as the run wrote it."""
    run = state.catalog.run(name(request, "run"), fresh=False)
    try:
        return read_circuit(run.folder)
    except FileNotFoundError:
        raise UnknownName(f"{run.name} holds no circuit") from None


def study(state: AppState, request: Request, body: Any) -> Any:
    """The result of a study's run: claims, figures and rows, as the run wrote them."""
    run = state.catalog.run(name(request, "run"), fresh=False)
    if run.kind != "study":
        raise UnknownName(f"{run.name} holds no study")
    return read_study(run.folder)


def comparison(state: AppState, request: Request, body: Any) -> Any:
    """Two runs on the targets that both have."""
    from .compare_runs import compare

    query = request.query_params
    if not (query.get("a") and query.get("b")):
        raise ArgumentError("name two runs: ?a=RUN&b=RUN")
    first, second = (state.catalog.run(query[side]) for side in "ab")
    for run in (first, second):
        if not run.is_unit_run or run.problem:
            raise ArgumentError(
                run.problem or f"{run.name} is a {run.kind} and has no targets to compare"
            )
    offset, limit = _page(request, 100, 1000)
    return compare(first, second, query, offset, limit)


def events(state: AppState, request: Request, body: Any) -> Any:
    """A value that changes when there is something new in a run, or in any run when none is named."""
    named = request.query_params.get("run")
    names = [named] if named else state.catalog.names()
    versions = (_version(state.catalog.run(name)) for name in names)
    return {"version": "-".join(map(str, versions))}


def _version(run: StoredRun) -> int:
    if not run.is_unit_run or run.problem:
        return 0
    with run.store.reading() as db:
        return int(get_meta(db, "version") or 0)
