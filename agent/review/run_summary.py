"""A run in one row: what it is, how far it is, how well it did. Read from the store."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ...evals.statistics.kappa import cohen_kappa
from ...tools.errors import HubelError
from ..runlog.layout import CIRCUIT, EVENTS, LOCK
from ..runlog.reviews import Reviews
from .run_catalog import RunCatalog, StoredRun, inside
from .store.database import get_meta, set_meta

QUIET_S = 30.0
"""Where the system does not say who holds a lock: a log that grew within so many seconds is being written."""
POINTS = 2000
"""Targets that a plot shows at most."""

_COUNTS = """
    select count(*) targets, coalesce(sum(status = 'done'), 0) done, coalesce(sum(verdict = 'kept'), 0) kept,
           coalesce(sum(verdict = 'rejected'), 0) rejected, coalesce(sum(verdict = 'inconclusive'), 0) inconclusive,
           coalesce(sum(status = 'failed'), 0) failed,
           coalesce(sum(status = 'pending' or (status = 'done' and verdict = 'pending')), 0) pending,
           case when count(usd) = count(*) then sum(usd) end usd, coalesce(sum(calls), 0) calls,
           coalesce(sum(input_tokens + output_tokens), 0) tokens
    from targets"""


def run_row(run: StoredRun) -> dict[str, Any]:
    """The row of one run; what cannot be known is null, and `notice` says why."""
    row: dict[str, Any] = {"name": run.name} | dict.fromkeys(
        ("subject", "corpus", "explainer", "started", "state", "targets", "done", "kept", "rejected", "inconclusive",
         "failed", "pending", "usd", "calls", "tokens", "mean_r", "false_keeps", "verdict", "faithfulness")
    )  # fmt: skip
    row |= {"kind": "units" if run.has_log else "circuit", "notice": None}
    if not run.has_log:
        return row | _circuit_row(run)
    if run.problem:
        return row | {"state": "unreadable", "notice": run.problem}
    told = run.once("row", partial(_kept, run, "row", _computed_row))
    if told is None:
        return row | {"state": "running", "notice": "This run is being read for the first time."}
    row |= told
    ended = row.pop("decided") and row["pending"] == 0
    row["state"] = "running" if is_written(run.folder) else "done" if ended else "interrupted"
    if (share := run.share_read()) < 1:
        row["notice"] = f"This run is being read: {share:.0%} of its log so far."
    return row


def _kept(
    run: StoredRun, what: str, compute: Callable[[sqlite3.Connection, dict[str, Any]], Any]
) -> Any:
    """What changes only when the log grows: out of the store, or computed now and kept there, so
    that the next server need not. None while the store has read nothing."""
    with run.store.reading() as db:
        version, (kept_at, kept) = (
            get_meta(db, "version"),
            json.loads(get_meta(db, what) or "[null, null]"),
        )
        about = about_run(db)
        if about is None:
            return None
        if kept_at == version:
            return kept
        found = compute(db, about)
    with run.store.writing() as db:
        set_meta(db, what, json.dumps([version, found]))
    return found


def precompute(run: StoredRun) -> None:
    """Compute what a run's row and page say before anybody asks."""
    _kept(run, "row", _computed_row)
    _kept(run, "page", _computed_page)


def _computed_row(db: sqlite3.Connection, about: dict[str, Any]) -> dict[str, Any]:
    named = {"subject": about["subject"].get("title"), "corpus": about["corpus"].get("name")}
    named |= {"explainer": about["explainer"], "started": get_meta(db, "started")}
    decided = bool(get_meta(db, "decided"))
    return (
        named | dict(db.execute(_COUNTS).fetchone()) | {"mean_r": _mean_r(db), "decided": decided}
    )


def about_run(db: sqlite3.Connection) -> dict[str, Any] | None:
    """The run's configuration without its targets; None before the store has read it."""
    told = get_meta(db, "about")
    return json.loads(told) if told else None


def _circuit_row(run: StoredRun) -> dict[str, Any]:
    if not (run.folder / CIRCUIT).exists():
        state = "running" if is_written(run.folder) else "interrupted"
        return {
            "state": state,
            "notice": f"No circuit yet; `hubel resume {run.name}` goes on where it stopped.",
        }
    try:
        path = inside(run, CIRCUIT)
        return dict(_circuit(path, path.stat().st_mtime))
    except (OSError, ValueError, HubelError) as error:
        return {"state": "unreadable", "notice": f"circuit.json cannot be read: {error}"}


@lru_cache(maxsize=256)
def _circuit(path: Path, changed: float) -> dict[str, Any]:
    told = json.loads(path.read_text(encoding="utf-8"))
    return {
        "state": "done",
        "subject": told.get("subject_title") or told.get("subject"),
        "corpus": told.get("task"),
        "explainer": told.get("explainer"),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(changed)),
        "verdict": told.get("verdict"),
        "faithfulness": told.get("faithfulness"),
    }


def _mean_r(db: sqlite3.Connection) -> dict[str, Any] | None:
    from ...evals.statistics.paired import mean_over_units

    found = db.execute("select r from targets where r is not null and kind = 'unit'").fetchall()
    interval = mean_over_units([row[0] for row in found])
    return None if interval is None else interval._asdict()


def is_written(folder: Path) -> bool:
    """Whether a process holds the run's lock. Looked up, never tried: that would refuse a run that starts."""
    lock = folder / LOCK
    try:
        found = lock.stat()
        held = Path("/proc/locks").read_text()
    except OSError:
        return _grew_lately(folder)
    return any(
        line.split()[5].endswith(f":{found.st_ino}")
        for line in held.splitlines()
        if "FLOCK" in line
    )


def _grew_lately(folder: Path) -> bool:
    times = [path.stat().st_mtime for path in (folder / EVENTS).glob("*.jsonl")]
    return bool(times) and time.time() - max(times) < QUIET_S


def run_rows(library: RunCatalog) -> list[dict[str, Any]]:
    """One row a run, the newest first, with what runs of nulls beside it say of its explainer."""
    runs = [library.run(name) for name in library.names()]
    rows = [run_row(run) for run in runs]
    settings = [_setting(run, row) for run, row in zip(runs, rows, strict=True)]
    for row, setting in zip(rows, settings, strict=True):
        row["false_keeps"] = _false_keeps(setting, runs, settings, rows)
    return sorted(rows, key=lambda row: row["started"] or "", reverse=True)


_Setting = tuple[Any, ...] | None


def _setting(run: StoredRun, row: dict[str, Any]) -> _Setting:
    """What must be the same for a run of nulls to speak about another run."""
    if row["explainer"] is None:
        return None
    with run.store.reading() as db:
        about = about_run(db) or {}
    weights = str((about.get("subject") or {}).get("revision", "")).partition("+")[0]
    return about.get("explainer"), weights, (about.get("corpus") or {}).get("sha256")


def _false_keeps(
    setting: _Setting,
    runs: Sequence[StoredRun],
    settings: Sequence[_Setting],
    rows: Sequence[dict[str, Any]],
) -> dict[str, Any] | None:
    kept = of = 0
    for run, other, row in zip(runs, settings, rows, strict=True):
        if setting is None or other != setting or row["state"] != "done":
            continue
        one, some = run.once("nulls", partial(_kept_nulls, run))
        kept, of = kept + one, of + some
    if not of:
        return None
    from ...evals.statistics.fdr import wilson

    rate = wilson(kept, of)
    return {"kept": kept, "of": of, "rate": rate.value, "low": rate.low, "high": rate.high}


def _kept_nulls(run: StoredRun) -> tuple[int, int]:
    with run.store.reading() as db:
        counted = (
            "select coalesce(sum(verdict = 'kept'), 0), count(*) from targets where kind = 'null'"
        )
        one, some = db.execute(counted).fetchone()
        return one, some


def run_page(run: StoredRun, row: dict[str, Any], notices: Sequence[str]) -> dict[str, Any]:
    """What stands at the head of one run's page."""
    readable = run.has_log and not run.problem
    about, facets, points = (
        readable and run.once("page", partial(_kept, run, "page", _computed_page))
    ) or _NO_PAGE
    decided = set(run.reviews.standing())
    verdicts: dict[str, str | None] = {}
    if decided:
        with run.store.reading() as db:
            verdicts = dict(
                db.execute(
                    "select target, verdict from targets where review is not null"
                ).fetchall()
            )
    agreed = agreement(run.reviews, verdicts)
    header = row | {
        "settings": {k: v for k, v in about.items() if k not in ("subject", "corpus", "versions")},
        "versions": about.get("versions", {}),
        "subject_revision": (about.get("subject") or {}).get("revision"),
        "corpus_revision": (about.get("corpus") or {}).get("sha256"),
        "seeds": {"run": about["seed"]} if "seed" in about else {},
    }
    return {
        "run": header,
        "facets": facets,
        "agreement": agreed,
        "points": points,
        "notices": list(notices),
    }


_Page = tuple[dict[str, Any], dict[str, list[Any]], dict[str, list[Any]] | None]
_NO_PAGE: _Page = ({}, {"layers": [], "sites": [], "sides": [], "verdicts": []}, None)


def _computed_page(db: sqlite3.Connection, about: dict[str, Any]) -> _Page:
    """Configuration, what there is to filter by, and the points of the plots."""
    columns = {"layers": "layer", "sites": "site", "sides": "side", "verdicts": "verdict"}
    listed = "select distinct {0} from targets where {0} is not null order by 1"
    facets = {
        k: [row[0] for row in db.execute(listed.format(column))] for k, column in columns.items()
    }
    return about, facets, _points(db)


def _points(db: sqlite3.Connection) -> dict[str, list[Any]]:
    """Scored targets for a plot, an even sample in run order where they are many; arrays of one length."""
    count = db.execute("select count(*) from targets where r is not null").fetchone()[0]
    every = max(1, -(-count // POINTS))
    names = ("target", "layer", "r", "select", "verdict")
    listed = ", ".join(f'"{name}"' for name in names)
    ranked = (
        f"select {listed}, row_number() over (order by position) n from targets where r is not null"
    )
    found = db.execute(
        f"select {listed} from ({ranked}) where (n - 1) % ? = 0 order by n", [every]
    ).fetchall()
    return {name: [row[i] for row in found] for i, name in enumerate(names)}


def agreement(reviews: Reviews, verdicts: dict[str, str | None]) -> dict[str, Any]:
    """People's last word on each target beside the keep rule, each person's counted once a target.

    Cohen's kappa of approve / reject with kept / not kept, over the targets that have a verdict;
    and of two people with each other, over the targets that both decided on.
    """
    pairs, by_target = [], {}
    for target, events in reviews.standing().items():
        words = {
            e.data.get("name"): e.data["verdict"]
            for e in events
            if e.data.get("verdict") in ("approve", "reject")
        }
        by_target[target] = words
        verdict = verdicts.get(target)
        if verdict in ("kept", "rejected", "inconclusive"):
            pairs += [(word == "approve", verdict == "kept") for word in words.values()]
    said = [word for words in by_target.values() for word in words.values()]
    return {
        "reviewed": sum(bool(words) for words in by_target.values()),
        "approve": said.count("approve"),
        "reject": said.count("reject"),
        "kept_and_approved": pairs.count((True, True)),
        "kept_and_rejected": pairs.count((False, True)),
        "notkept_and_approved": pairs.count((True, False)),
        "notkept_and_rejected": pairs.count((False, False)),
        "kappa": cohen_kappa(pairs),
        "between": _between(by_target),
    }


def _between(by_target: dict[str, dict[Any, str]]) -> dict[str, Any]:
    """Of every two people who decided on the same target, in the order of their names."""
    pairs = []
    for words in by_target.values():
        names = sorted(words, key=str)
        pairs += [
            (words[a] == "approve", words[b] == "approve")
            for i, a in enumerate(names)
            for b in names[i + 1 :]
        ]
    return {"pairs": len(pairs), "kappa": cohen_kappa(pairs)}
