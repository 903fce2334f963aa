"""Operations that look: runs, targets, transcripts, circuits, comparisons.

They run in threads, so that a slow answer holds up no other. What only some of them need (numpy,
pyarrow) is imported where it is needed: the list of runs, with which a visit begins, needs neither.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from starlette.requests import Request

from ...tools.errors import ArgumentError, CorruptError, HubelError
from ..runlog.layout import CIRCUIT
from . import tables
from .app_state import AppState, name
from .holdout import predicted_on_holdout
from .rows import row_of, with_reviews
from .run_catalog import StoredRun, UnknownName, safe_path
from .run_page import run_page
from .run_rows import RunRow, run_rows
from .store.database import get_meta
from .store.fill import notices


def runs(site: AppState, request: Request, body: Any) -> Any:
    """All runs, the newest first."""
    rows = run_rows(site.library)
    site.asked.set()
    return {"runs": [vars(row) for row in rows]}


def one_run(site: AppState, request: Request, body: Any) -> Any:
    """One run: its row, its settings, what its targets can be filtered by, and how people's verdicts agree with it."""
    run = site.library.run(name(request, "run"))
    row = next(row for row in run_rows(site.library) if row.name == run.name)
    site.asked.set()
    if run.has_log and not run.problem:
        threading.Thread(
            target=_open_activations, args=(run,), daemon=True
        ).start()  # a target is next
    return run_page(run, row, _notices(run, row))


def _open_activations(run: StoredRun) -> None:
    from .token_maps import data_of

    with suppress(HubelError):  # the target's page says what is wrong with them
        data_of(run.folder)


def _notices(run: StoredRun, row: RunRow) -> list[str]:
    found = [row.notice] if row.notice else []
    if run.has_log and not run.problem:
        with run.store.reading() as db:
            found += notices(db)
    return found


def targets(site: AppState, request: Request, body: Any) -> Any:
    """A run's targets, sorted, filtered and in pages."""
    run, wanted = site.unit_run(request), tables.TargetQuery.of(request.query_params)
    with run.store.reading() as db:
        found = tables.list_targets(db, wanted)
    return found._asdict() | {"rows": with_reviews(run, found.rows)}


def search(site: AppState, request: Request, body: Any) -> Any:
    """Words in explanations, transcripts and exemplar text."""
    run, query = site.unit_run(request), request.query_params
    places = (query.get("in") or ",".join(tables.PLACES)).split(",")
    if unknown := [place for place in places if place not in tables.PLACES]:
        raise ArgumentError(
            f"in={unknown[0][:50]!r} is not known; search in {', '.join(tables.PLACES)}"
        )
    words = query.get("q", "")
    offset, limit = tables.whole(query, "offset", 0, 10**9), tables.whole(query, "limit", 50, 200)
    with run.store.reading() as db:
        found = tables.search(db, words, places, offset, limit)
    found["hits"] = [_with_text(run, hit, words) for hit in found["hits"]]
    return found


def _with_text(run: StoredRun, hit: dict[str, Any], words: str) -> dict[str, Any]:
    from ..runlog.transcript import searchable_text
    from .target_page import replies

    if (place := hit.pop("place", None)) is None:
        return hit
    text = "".join(searchable_text(reply) for reply in replies(run, [place]))
    return hit | tables.snippet(text, words)


def one_target(site: AppState, request: Request, body: Any) -> Any:
    """Everything about one target."""
    from .target_page import target_page

    return target_page(site.unit_run(request), name(request, "target"))


def predicted(site: AppState, request: Request, body: Any) -> Any:
    """Predicted beside true activations, the worst misses first."""
    from . import token_maps

    run, target, query = site.unit_run(request), name(request, "target"), request.query_params
    split = query.get("split") or "select"
    if split not in ("explore", "select", "holdout"):
        raise ArgumentError(f"split={split[:50]!r} is not known; give explore, select or holdout")
    most = tables.whole(query, "limit", token_maps.MISSES, token_maps.MOST_MISSES)
    offset = tables.whole(query, "offset", 0, 10**6)
    with run.store.reading() as db:
        row = row_of(run, db, target)
        score = db.execute(
            "select value r, low, high from scores where position = ? and split = ? and hypothesis = "
            "(select hypothesis from targets t where t.position = scores.position)",
            [row["position"], split],
        ).fetchone()
    found = _misses(run, target, row["predicate"], split, most, offset)
    return found | {"measure": dict(score) if score is not None else None}


def _misses(
    run: StoredRun, target: str, predicate: str | None, split: str, most: int, offset: int
) -> dict[str, Any]:
    from . import token_maps

    nothing = token_maps.NO_MAPS | {"split": split}
    if split == "holdout":
        return predicted_on_holdout(run, target, predicate, most, offset) if predicate else nothing
    data = token_maps.data_of(run.folder)
    if predicate is None or data is None:
        return nothing
    collected = data.explore if split == "explore" else data.select
    return token_maps.misses(target, predicate, collected, data.lexicon, split, most, offset)


def transcript(site: AppState, request: Request, body: Any) -> Any:
    """Some turns of a target's transcript."""
    from .target_page import transcript as turns_of

    query = request.query_params
    offset, limit = tables.whole(query, "offset", 0, 10**9), tables.whole(query, "limit", 50, 200)
    return turns_of(site.unit_run(request), name(request, "target"), offset, limit)


def circuit(site: AppState, request: Request, body: Any) -> Any:
    """The circuit that was found, as the run wrote it."""
    run = site.library.run(name(request, "run"), fresh=False)
    try:
        return json.loads(safe_path(run, CIRCUIT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnknownName(f"{run.name} holds no circuit") from None
    except ValueError as error:
        raise CorruptError(
            f"the circuit of {run.name} cannot be read ({error}); make it again"
        ) from None


def comparison(site: AppState, request: Request, body: Any) -> Any:
    """Two runs on the targets that both have."""
    from .compare_runs import compare

    query = request.query_params
    pair = []
    for side in "ab":
        if not query.get(side):
            raise ArgumentError("name two runs: ?a=RUN&b=RUN")
        run = site.library.run(query[side])
        if not run.has_log or run.problem:
            raise ArgumentError(
                run.problem or f"{run.name} is a circuit and has no targets to compare"
            )
        pair.append(run)
    return compare(pair[0], pair[1], query)


def events(site: AppState, request: Request, body: Any) -> Any:
    """A number that changes when there is something new of a run, or of any run when none is named."""
    name = request.query_params.get("run")
    names = [name] if name else site.library.names()
    found = [site.library.run(one) for one in names]
    return {"version": "-".join(str(_version(run)) for run in found)}


def _version(run: StoredRun) -> int:
    if not run.has_log or run.problem:
        return 0
    with run.store.reading() as db:
        return int(get_meta(db, "version") or 0)
