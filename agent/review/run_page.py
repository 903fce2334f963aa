"""The head of one run's page: settings, what its targets can be filtered by, plots, and how people agree with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, TypedDict

from ..runlog.events import LEFT_OUT
from ..runlog.subject_warning import EVENT, warning_of
from ..runlog.tiers import TIERS
from .agreement import Agreement, agreement
from .run_catalog import Settings, StoredRun
from .run_rows import RunRow, compute_row
from .store.database import get_meta

MAX_POINTS = 2000
"""Targets that a plot shows at most."""
_FACETS = {
    "layers": "layer",
    "sites": "site",
    "sides": "side",
    "verdicts": "verdict",
    "tiers": "tier",
}
_MEANS = ("r", "meaning_r", "headline_r", "list")
"""The whole formula, its two parts alone, and the floor that it has to exceed."""
_POINT_COLUMNS = ("target", "layer", "r", "select", "verdict")


class RunPage(TypedDict):
    """What the page of a run gets. `points` are arrays of one length.

    `tiers` counts the targets of each tier, and is empty where none is recorded. `means` are those of
    the columns `_MEANS` over the targets that have all of them.
    """

    run: dict[str, Any]
    facets: dict[str, list[Any]]
    tiers: dict[str, int]
    means: dict[str, float | None]
    agreement: Agreement
    points: dict[str, list[Any]] | None
    notices: list[str]


class _Computed(TypedDict):
    settings: Settings
    facets: dict[str, list[Any]]
    tiers: dict[str, int]
    means: dict[str, float | None]
    points: dict[str, list[Any]] | None
    warnings: list[str]


def run_page(run: StoredRun, row: RunRow, notices: Sequence[str]) -> RunPage:
    """What is at the head of one run's page."""
    computed = run.computed("page", compute_page) if run.is_unit_run and not run.problem else None
    if computed is None:
        facets: dict[str, list[Any]] = {name: [] for name in _FACETS}
        computed = _Computed(
            settings={}, facets=facets, tiers={}, means={}, points=None, warnings=[]
        )
    settings = computed["settings"]
    header = vars(row) | {
        "settings": {
            k: v for k, v in settings.items() if k not in ("subject", "corpus", "versions")
        },
        "versions": settings.get("versions", {}),
        "subject_revision": (settings.get("subject") or {}).get("revision"),
        "corpus_revision": (settings.get("corpus") or {}).get("sha256"),
        "seeds": {"run": settings["seed"]} if "seed" in settings else {},
    }
    return RunPage(
        run=header,
        facets=computed["facets"],
        tiers=computed["tiers"],
        means=computed["means"],
        agreement=agreement(run.reviews, _reviewed_verdicts(run)),
        points=computed["points"],
        notices=[*notices, *computed["warnings"]],
    )


def precompute(run: StoredRun) -> None:
    """Compute what a run's row and page say before anybody asks."""
    run.computed("row", compute_row)
    run.computed("page", compute_page)


def compute_page(db: sqlite3.Connection, settings: Settings) -> _Computed:
    """What changes only when the log grows."""
    facets = {}
    for name, column in _FACETS.items():
        values = f"select distinct {column} from targets where {column} is not null order by 1"
        facets[name] = [row[0] for row in db.execute(values)]
    return _Computed(
        settings=settings,
        facets=facets,
        tiers=_tiers(db),
        means=_means(db),
        points=_points(db),
        warnings=_warnings(db, settings),
    )


def _warnings(db: sqlite3.Connection, settings: Settings) -> list[str]:
    """That the subject knows nothing of the text, and which concepts the run had to do without."""
    stored, left_out = get_meta(db, EVENT), get_meta(db, LEFT_OUT)
    names = ((settings.get(name) or {}).get("name", "?") for name in ("subject", "corpus"))
    line = warning_of(json.loads(stored) if stored else None, *names)
    warnings = [f"Warning: {line}."] if line else []
    reasons = (json.loads(left_out).get("reasons") or []) if left_out else []
    return warnings + [f"{reason[:1].upper()}{reason[1:].rstrip('.')}." for reason in reasons]


def _tiers(db: sqlite3.Connection) -> dict[str, int]:
    counts = dict(db.execute("select tier, count(*) from targets group by tier").fetchall())
    return {tier: counts.get(tier, 0) for tier in TIERS} if counts.keys() & set(TIERS) else {}


def _means(db: sqlite3.Connection) -> dict[str, float | None]:
    means = ", ".join(f"avg({name}) {name}" for name in _MEANS)
    known = " and ".join(f"{name} is not null" for name in _MEANS)
    return dict(db.execute(f"select {means} from targets where {known}").fetchone())


def _points(db: sqlite3.Connection) -> dict[str, list[Any]]:
    """Scored targets for a plot; an even sample in run order where there are many."""
    count = db.execute("select count(*) from targets where r is not null").fetchone()[0]
    step = max(1, -(-count // MAX_POINTS))
    columns = ", ".join(f'"{name}"' for name in _POINT_COLUMNS)
    rows = db.execute(
        f"select {columns} from (select {columns}, row_number() over (order by position) n "
        "from targets where r is not null) where (n - 1) % ? = 0 order by n",
        [step],
    ).fetchall()
    return {name: [row[name] for row in rows] for name in _POINT_COLUMNS}


def _reviewed_verdicts(run: StoredRun) -> dict[str, str | None]:
    """Verdicts of the targets that people have decided on."""
    if not run.reviews.by_target():
        return {}
    with run.store.reading() as db:
        rows = db.execute("select target, verdict from targets where review is not null")
        return dict(rows.fetchall())
