"""The list of runs: for each what it is, how far it is, and how well it did, read from its store."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

from ...tools.errors import HubelError
from ..circuits.result import read_circuit
from ..runlog.layout import CIRCUIT, EVENTS, LOCK, STUDY
from ..runlog.run_subject import weights_of
from ..runlog.unreadable_run import unreadable_run
from ..studies.result import read_study
from .run_catalog import RunCatalog, RunKind, Settings, StoredRun, stored_settings
from .store.database import get_meta

QUIET_S = 30.0
"""Where the system does not list locks, a log that grew in the last 30 s counts as being written."""

_COUNTS = """
    select count(*) targets, coalesce(sum(status = 'done'), 0) done, coalesce(sum(verdict = 'kept'), 0) kept,
           coalesce(sum(verdict = 'rejected'), 0) rejected, coalesce(sum(verdict = 'inconclusive'), 0) inconclusive,
           coalesce(sum(status = 'failed'), 0) failed,
           coalesce(sum(status = 'pending'), 0) pending,
           coalesce(sum(status = 'done' and verdict = 'pending'), 0) undecided,
           case when count(usd) = count(*) then sum(usd) end usd, coalesce(sum(calls), 0) calls,
           coalesce(sum(input_tokens + output_tokens), 0) tokens
    from targets"""
_NULLS = "select coalesce(sum(verdict = 'kept'), 0), count(*) from targets where kind = 'null'"


class FalseKeeps(TypedDict):
    """How many null units an explainer kept, with Wilson's interval of the rate."""

    kept: int
    of: int
    rate: float
    low: float
    high: float


@dataclass
class RunRow:
    """One row of the list. What is not known is None, and `notice` says why."""

    name: str
    kind: RunKind
    notice: str | None = None
    state: Literal["running", "done", "interrupted", "unreadable"] | None = None
    subject: str | None = None
    corpus: str | None = None
    """The task, of a circuit."""
    explainer: str | None = None
    started: str | None = None
    targets: int | None = None
    done: int | None = None
    kept: int | None = None
    rejected: int | None = None
    inconclusive: int | None = None
    failed: int | None = None
    pending: int | None = None
    """Neither explained nor failed, as `hubel show` and `resume` count."""
    undecided: int | None = None
    """Explained, and without a verdict until no target is pending any more."""
    usd: float | None = None
    calls: int | None = None
    tokens: int | None = None
    mean_r: dict[str, float] | None = None
    false_keeps: FalseKeeps | None = None
    verdict: str | None = None
    """Of a circuit, as its faithfulness."""
    faithfulness: float | None = None
    study: str | None = None
    """Its name, of a study."""
    claims: dict[str, int] | None = None
    """How many claims of a study have which verdict."""


class _Setting(NamedTuple):
    """What must be the same for the nulls of one run to say something about another run."""

    explainer: str
    weights: str
    corpus_sha256: str | None


def run_rows(catalog: RunCatalog) -> list[RunRow]:
    """One row for each run, the newest first, with the false keeps of its explainer on nulls."""
    runs = [catalog.run(name) for name in catalog.names()]
    rows = [_row_or_problem(run) for run in runs]
    settings = [
        _setting(run) if row.explainer else None for run, row in zip(runs, rows, strict=True)
    ]
    nulls: dict[_Setting, list[tuple[int, int]]] = {}
    for run, row, setting in zip(runs, rows, settings, strict=True):
        if setting is not None and row.state == "done":
            nulls.setdefault(setting, []).append(run.computed("nulls", _count_nulls) or (0, 0))
    for row, setting in zip(rows, settings, strict=True):
        if setting is not None and setting in nulls:
            row.false_keeps = _false_keeps(nulls[setting])
    return sorted(rows, key=lambda row: row.started or "", reverse=True)


def _row_or_problem(run: StoredRun) -> RunRow:
    """The row of one run, which says so if the run cannot be read."""
    try:
        return run_row(run)
    except Exception as error:  # noqa: BLE001 - shown as the notice of this run
        notice = str(error) if isinstance(error, HubelError) else unreadable_run(run.folder, error)
        return RunRow(run.name, "units", state="unreadable", notice=notice)


def run_row(run: StoredRun) -> RunRow:
    """The row of one run, without false keeps."""
    row = RunRow(run.name, run.kind)
    if row.kind == "study":
        return study_row(run, row)
    if row.kind == "circuit":
        return _circuit_row(run, row)
    if run.problem:
        return replace(row, state="unreadable", notice=run.problem)
    values = run.computed("row", compute_row)
    if values is None:
        return replace(row, state="running", notice="This run is being read for the first time.")
    row = replace(row, **{name: value for name, value in values.items() if name != "decided"})
    is_done = values["decided"] and row.pending == row.undecided == 0
    row.state = "running" if is_written(run.folder) else "done" if is_done else "interrupted"
    if (share := run.share_read()) < 1:
        row.notice = f"This run is being read: {share:.0%} of its log so far."
    return row


def compute_row(db: sqlite3.Connection, settings: Settings) -> dict[str, Any]:
    """What a row says of the log, with `decided`: whether the run has verdicts."""
    return {
        "subject": settings["subject"].get("title"),
        "corpus": settings["corpus"].get("name"),
        "explainer": settings["explainer"],
        "started": get_meta(db, "started"),
        **dict(db.execute(_COUNTS).fetchone()),
        "mean_r": _mean_r(db),
        "decided": bool(get_meta(db, "decided")),
    }


def _mean_r(db: sqlite3.Connection) -> dict[str, float] | None:
    from ...evals.statistics.paired import mean_over_units

    scored = db.execute("select r from targets where r is not null and kind = 'unit'").fetchall()
    interval = mean_over_units([row[0] for row in scored])
    return None if interval is None else interval._asdict()


# ---------------------------------------------------------------- circuits


def _circuit_row(run: StoredRun, row: RunRow) -> RunRow:
    if not (run.folder / CIRCUIT).exists():
        notice = f"No circuit yet; `hubel resume {run.name}` goes on where it stopped."
        state = "running" if is_written(run.folder) else "interrupted"
        return replace(row, state=state, notice=notice)
    try:
        return replace(
            row, **_circuit_values(run.folder, (run.folder / CIRCUIT).stat().st_mtime_ns)
        )
    except (OSError, ValueError, HubelError) as error:
        return replace(row, state="unreadable", notice=f"circuit.json cannot be read: {error}")


@lru_cache(maxsize=256)
def _circuit_values(folder: Path, changed_ns: int) -> dict[str, Any]:
    circuit = read_circuit(folder)

    def text(name: str) -> str | None:
        return None if circuit.get(name) is None else str(circuit[name])

    return {
        "state": "done",
        "subject": text("subject_title") or text("subject"),
        "corpus": text("task"),
        "explainer": text("explainer"),
        "started": _time(changed_ns),
        "verdict": text("verdict"),
        "faithfulness": circuit.get("faithfulness"),
    }


# ---------------------------------------------------------------- studies


def study_row(run: StoredRun, row: RunRow) -> RunRow:
    """The row of a study's run, from its result."""
    path = run.folder / STUDY
    if not path.exists():
        notice = f"No result yet; `hubel resume {run.name}` goes on where it stopped."
        state = "running" if is_written(run.folder) else "interrupted"
        return replace(row, state=state, notice=notice)
    try:
        return replace(row, **_study_values(run.folder, path.stat().st_mtime_ns))
    except HubelError as error:
        return replace(row, state="unreadable", notice=str(error))
    except (OSError, KeyError, TypeError) as error:
        return replace(row, state="unreadable", notice=f"{STUDY} cannot be read: {error!r}")


@lru_cache(maxsize=256)
def _study_values(folder: Path, changed_ns: int) -> dict[str, Any]:
    document = read_study(folder)
    return {
        "state": "done",
        "study": str(document["study"]),
        "subject": ", ".join(map(str, document["subjects"])),
        "started": _time(changed_ns),
        "claims": dict(Counter(str(claim["verdict"]) for claim in document["claims"])),
    }


def _time(changed_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(changed_ns // 10**9))


# ---------------------------------------------------------------- whether a run is going on


def is_written(folder: Path) -> bool:
    """Whether a process holds the run's lock. It is looked up, never tried: trying could refuse a run that starts."""
    lock = folder / LOCK
    try:
        inode = lock.stat().st_ino
        locks = Path("/proc/locks").read_text()
    except OSError:
        times = [path.stat().st_mtime for path in (folder / EVENTS).glob("*.jsonl")]
        return bool(times) and time.time() - max(times) < QUIET_S
    flocks = (line.split() for line in locks.splitlines() if "FLOCK" in line)
    return any(fields[5].endswith(f":{inode}") for fields in flocks)


# ---------------------------------------------------------------- nulls


def _setting(run: StoredRun) -> _Setting | None:
    if not run.is_unit_run:
        return None
    with run.store.reading() as db:
        settings = stored_settings(db) or {}
    weights = weights_of(str((settings.get("subject") or {}).get("revision", "")))
    corpus = (settings.get("corpus") or {}).get("sha256")
    return _Setting(str(settings.get("explainer")), weights, corpus)


def _count_nulls(db: sqlite3.Connection, settings: Settings) -> tuple[int, int]:
    kept, count = db.execute(_NULLS).fetchone()
    return kept, count


def _false_keeps(counts: list[tuple[int, int]]) -> FalseKeeps | None:
    from ...evals.statistics.fdr import wilson

    kept, count = (sum(numbers) for numbers in zip(*counts, strict=True))
    if not count:
        return None
    rate = wilson(kept, count)
    return FalseKeeps(kept=kept, of=count, rate=rate.value, low=rate.low, high=rate.high)
