"""The runs that the page shows: names to folders, and stores that keep up with their logs.

A name is looked up among the folders in the runs folder; it is never joined to a path. So nothing
outside that folder (and the runs named on the command line) can be read, by no spelling and through
no link.

If a store is a little behind its log, it is filled while the request waits. If it is far behind, a
process fills it (`fill_store`), and the page shows what is there and how far it is.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from ...tools.errors import HubelError, UsageError
from ...tools.files.regular_file import check_inside, read_regular
from ..exchange.config import refuse_imported
from ..runlog.config import find_run, run_folders
from ..runlog.config_file import MAX_BYTES
from ..runlog.layout import CIRCUIT, CONFIG, EVENTS, REVIEWS, SEAL, STUDY
from ..runlog.reviews import Reviews
from ..runlog.unreadable_run import unreadable_run
from .store.database import Store, get_meta, set_meta
from .store.decisions import store_decisions
from .store.fill import fill, unread_bytes

T = TypeVar("T")
Settings = dict[str, Any]
"""A run's configuration without its targets, as the store has it."""
READ_INLINE = 4 << 20
"""Bytes of log that are read while a request waits: about a tenth of a second."""
_OTHER_KIND = re.compile(rb'^kind = "(circuit|study|imported)"$', re.MULTILINE)
RunKind = Literal["units", "circuit", "study", "imported"]


class UnknownName(HubelError):
    """No run, target or job has that name: status 404."""


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
        self._computed: dict[str, tuple[Any, Any]] = {}
        """Name to store version and value."""
        self._unreadable_files: list[tuple[str, int, int]] | None = None
        """Name, size and time of the files that were read last: a run that cannot be read is not read again."""
        self._filler: subprocess.Popen[bytes] | None = None

    @property
    def kind(self) -> RunKind:
        """What the run is about; the results of circuits and studies are files of their own."""
        config = self.folder / CONFIG
        try:
            return _kind_of(config, config.stat().st_mtime_ns)
        except FileNotFoundError:  # only a result
            if (self.folder / STUDY).exists():
                return "study"
            return "circuit" if (self.folder / CIRCUIT).exists() else "units"
        except OSError:  # reading it as a run says what is wrong
            return "units"

    @property
    def is_unit_run(self) -> bool:
        """Whether the run explains units, so that it has a log of targets."""
        return self.kind == "units"

    def refresh(self) -> None:
        """Let the store read what was added to the log, now or in another process."""
        if not self.is_unit_run:
            return
        with self._lock:
            files = self._files()
            if self._is_being_filled() or (self.problem and files == self._unreadable_files):
                return
            self._unreadable_files = files
            try:
                if unread_bytes(self.store) > READ_INLINE:
                    self._filler = _start_filling(self.folder)
                else:
                    fill(self.store)
                    self.problem = ""
                store_decisions(self.reviews, self.store)
            except HubelError as error:
                self.problem = str(error)
            except sqlite3.OperationalError as error:
                self._unreadable_files = None  # no space or no permission: try again next time
                self.problem = f"{self.store.path} cannot be used: {error}; HUBEL_CACHE=DIR uses another folder"
            except sqlite3.DatabaseError:
                self.store.discard()  # damaged inside: the next request fills it again
            except Exception as error:  # noqa: BLE001 - shown as the notice of this run
                self.problem = unreadable_run(self.folder, error)

    def _files(self) -> list[tuple[str, int, int]]:
        """What a problem with the run depends on."""
        files = [self.folder / CONFIG, self.folder / SEAL]
        files += [*self.folder.glob(f"{EVENTS}/*"), *self.folder.glob(f"{REVIEWS}/*")]
        try:
            status = [(path.name, path.lstat()) for path in files if os.path.lexists(path)]
        except OSError:  # sealed this moment, or no permission
            return []
        return sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in status)

    def _is_being_filled(self) -> bool:
        if self._filler is not None and self._filler.poll() is not None:
            self.problem = "" if self._filler.returncode == 0 else self._fill_error()
            self._filler = None
        return self._filler is not None

    def _fill_error(self) -> str:
        try:
            fill(self.store)
        except HubelError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - shown as the notice of this run
            return unreadable_run(self.folder, error)
        return ""

    def is_registered(self) -> bool:
        """Whether the store has read the run's targets."""
        with self.store.reading() as db:
            return get_meta(db, "config") is not None

    def computed(self, name: str, compute: Callable[[sqlite3.Connection, Settings], T]) -> T | None:
        """A JSON value computed from the store; None while the store has read nothing.

        It is kept, in memory and in the store for the next server, until the store reads something
        new.
        """
        with self.store.reading() as db:
            version, settings = get_meta(db, "version"), stored_settings(db)
            if settings is None:
                return None
            cached = self._computed.get(name)
            if cached is not None and cached[0] == version:
                return cached[1]
            kept = get_meta(db, name)
            kept_version, value = json.loads(kept) if kept else (None, None)
            is_kept = bool(kept) and kept_version == version
            if not is_kept:
                value = compute(db, settings)
        self._computed[name] = version, value
        if not is_kept:
            with self.store.writing() as db:
                set_meta(db, name, json.dumps([version, value]))
        return value

    def share_read(self) -> float:
        """How much of the log the store has read, 0 to 1."""
        if self._filler is None:
            return 1.0
        with self.store.reading() as db:
            return float(get_meta(db, "share") or 0.0)

    def close(self) -> None:
        """Stop the process that fills the store, if there is one; the next server goes on from there."""
        if self._filler is not None:
            self._filler.terminate()
            self._filler.wait()


def stored_settings(db: sqlite3.Connection, schema: str = "main") -> Settings | None:
    """A run's configuration without its targets; None before the store has read it."""
    row = db.execute(f"select value from {schema}.meta where key = 'about'").fetchone()
    return json.loads(row[0]) if row else None


@lru_cache(maxsize=4096)
def _kind_of(config: Path, _changed: int) -> RunKind:
    """Look for one line only: parsing the configuration of 100,000 targets takes a second."""
    content = read_regular(config, MAX_BYTES, inside=config.parent)
    match = _OTHER_KIND.search(content)
    return "units" if match is None else cast(RunKind, match[1].decode())


def _is_imported(folder: Path) -> bool:
    """Whether a folder holds other people's explanations, which have no page."""
    config = folder / CONFIG
    try:
        return _kind_of(config, config.stat().st_mtime_ns) == "imported"
    except OSError:
        return False


def _start_filling(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"{__package__}.fill_store", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


class RunCatalog:
    """The runs in a folder, or those that were named."""

    def __init__(self, runs: Path, named: Sequence[str] = ()) -> None:
        self._folder = runs
        self._named = [find_run(name, runs) for name in named]
        for folder in self._named:
            refuse_imported(folder, "review")
        self._runs: dict[str, StoredRun] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of the runs that are there now."""
        return sorted(self._folders())

    def run(self, name: str, *, fresh: bool = True) -> StoredRun:
        """A run by its name.

        Args:
            fresh: whether its store first reads what was added to the log.

        Raises:
            UnknownName: there is none.
        """
        folder = self._folders().get(name)
        if folder is None:
            raise UnknownName(
                f"there is no run {name[:100]!r} here; the list of runs shows those that are"
            )
        with self._lock:
            if name not in self._runs or self._runs[name].folder != folder:
                self._runs[name] = StoredRun(folder)
            run = self._runs[name]
        if fresh:
            run.refresh()
        return run

    def add(self, folder: Path) -> None:
        """Show a new run too, where only named ones are shown."""
        if self._named:
            self._named.append(folder)

    def close(self) -> None:
        """Stop the processes that fill stores."""
        for run in self._runs.values():
            run.close()

    def _folders(self) -> dict[str, Path]:
        if self._named:
            return {folder.resolve().name: folder for folder in self._named}
        folders = [run for run in run_folders(self._folder) if not run.is_symlink()]
        return {run.name: run for run in folders if not _is_imported(run)}


def safe_path(run: StoredRun, *parts: str) -> Path:
    """A file of a run's folder.

    Raises:
        UsageError: it is a link that leads out of the folder.
    """
    path = run.folder.joinpath(*parts)
    try:
        check_inside(path, run.folder)
    except OSError:
        raise UsageError(
            f"{path.name} of {run.name} lies outside the run's folder and is not read"
        ) from None
    return path
