"""The runs that the page shows: names to folders, and stores that keep up with their logs.

A name is looked up among the folders that are there, it is never joined to a path: nothing outside
the runs folder (and the runs that were named on the command line) can be read, by no spelling and
through no link.

A store that is a little behind its log is filled while the request waits, one that is far behind by
a process of its own, while the page shows what is there and how far it is.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ...tools.errors import HubelError, UsageError
from ..runlog.config import find_run
from ..runlog.layout import CIRCUIT, CONFIG
from ..runlog.reviews import Reviews
from .store.database import Store, get_meta
from .store.decisions import store_decisions
from .store.fill import fill, unread_bytes

T = TypeVar("T")
AT_ONCE = 4 << 20
"""Bytes of log that are read while a request waits: about a tenth of a second."""
_CIRCUIT_KIND = re.compile(rb'^kind = "circuit"$', re.MULTILINE)


class Unknown(HubelError):
    """There is no run, target or job of that name: status 404."""


class StoredRun:
    """One run's folder with its store and its reviews."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.store = Store(folder)
        self.reviews = Reviews(folder)
        self.problem = ""
        """Why the log cannot be read; "" when it can."""
        self._lock = threading.Lock()
        self._told: dict[str, tuple[Any, Any]] = {}
        self._filler: subprocess.Popen[bytes] | None = None

    @property
    def has_log(self) -> bool:
        """Whether it is a run of units; the log of a circuit is summed up in a file of its own."""
        config = self.folder / CONFIG
        return config.is_file() and not _is_circuit(config, config.stat().st_mtime_ns)

    def refresh(self) -> None:
        """Let the store read what the log has grown by, now or in a process beside."""
        if not self.has_log:
            return
        with self._lock:
            if self._filling():
                return
            try:
                ahead = unread_bytes(self.store)
                if ahead > AT_ONCE:
                    self._filler = _fill_beside(self.folder)
                else:
                    self._fill()
                store_decisions(self.reviews, self.store)
            except HubelError as error:
                self.problem = str(error)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self.store.discard()  # damaged in the middle: the next request fills it again

    def _filling(self) -> bool:
        if self._filler is not None and self._filler.poll() is not None:
            self.problem = "" if self._filler.returncode == 0 else self._why()
            self._filler = None
        return self._filler is not None

    def _why(self) -> str:
        try:
            self._fill()
        except HubelError as error:
            return str(error)
        return ""

    def _fill(self) -> None:
        fill(self.store)
        self.problem = ""

    def is_known(self) -> bool:
        """Whether the store has read what the run was asked for."""
        with self.store.reading() as db:
            return get_meta(db, "config") is not None

    def once(self, what: str, make: Callable[[], T]) -> T:
        """``make()``, made again when the store has read something new."""
        with self.store.reading() as db:
            version = get_meta(db, "version")
        if what not in self._told or self._told[what][0] != version:
            self._told[what] = version, make()
        return self._told[what][1]

    def share_read(self) -> float:
        """How much of the log the store has read, 0 to 1."""
        with self.store.reading() as db:
            return float(get_meta(db, "share") or 0.0) if self._filler is not None else 1.0

    def close(self) -> None:
        """Stop the process that fills the store, if there is one; the next server goes on from there."""
        if self._filler is not None:
            self._filler.terminate()
            self._filler.wait()


@lru_cache(maxsize=4096)
def _is_circuit(config: Path, _changed: int) -> bool:
    """Looks for the one line: to parse the configuration of 100,000 targets takes a second."""
    return _CIRCUIT_KIND.search(config.read_bytes()) is not None


def _fill_beside(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.fill_store", str(folder)], stdout=subprocess.DEVNULL
    )


class RunCatalog:
    """The runs in a folder, or those that were named."""

    def __init__(self, runs: Path, named: Sequence[str] = ()) -> None:
        self.place = runs
        self._named = [find_run(name, runs) for name in named]
        self._known: dict[str, StoredRun] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of the runs that are there now."""
        return sorted(self._folders())

    def run(self, name: str, *, fresh: bool = True) -> StoredRun:
        """A run by its name.

        Raises:
            Unknown: there is none.
        """
        folder = self._folders().get(name)
        if folder is None:
            raise Unknown(
                f"there is no run {name[:100]!r} here; the list of runs shows those that are"
            )
        with self._lock:
            if name not in self._known or self._known[name].folder != folder:
                self._known[name] = StoredRun(folder)
            run = self._known[name]
        if fresh:
            run.refresh()
        return run

    def add(self, folder: Path) -> None:
        """Show a new run too, where only named ones are shown."""
        if self._named:
            self._named.append(folder)

    def close(self) -> None:
        """Let go of all runs."""
        for run in self._known.values():
            run.close()

    def _folders(self) -> dict[str, Path]:
        if self._named:
            return {folder.resolve().name: folder for folder in self._named}
        if not self.place.is_dir():
            return {}
        inside = self.place.resolve()
        return {
            entry.name: entry
            for entry in self.place.iterdir()
            if ((entry / CONFIG).is_file() or (entry / CIRCUIT).is_file())
            and entry.resolve().parent == inside
        }


def inside(run: StoredRun, *parts: str) -> Path:
    """A file of a run's folder.

    Raises:
        UsageError: it is a link that leads out of the folder.
    """
    path = run.folder.joinpath(*parts)
    if not path.resolve().is_relative_to(run.folder.resolve()):
        raise UsageError(f"{path.name} of {run.name} lies outside the run's folder and is not read")
    return path
