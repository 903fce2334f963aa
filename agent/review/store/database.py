"""The derived store of a run: one SQLite file in the cache with what the page sorts, filters and
searches by.

It is no second truth: it holds what the log says, is filled from the log as that grows (`filling`),
and is made anew when it is gone, of an older version, or of another run. Several processes may fill
one store; each step is a transaction.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ....tools.files import cache_dir

VERSION = 3
"""Raise it when the schema or what is read into it changes."""
_CACHE_KB = 16_000


class Store:
    """The store of one run's folder, made when it is first opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        where = folder.resolve()  # runs of one name may lie in several places
        name = f"{where.name}-{hashlib.sha256(str(where).encode()).hexdigest()[:12]}"
        self.path = cache_dir() / "review" / name / "store.sqlite"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the store."""
        with self._open() as db:
            db.execute("begin")
            yield db

    @contextmanager
    def beside(self, other: Store) -> Iterator[sqlite3.Connection]:
        """A connection that also sees another run's store, under the schema name `b`."""
        with (
            other.reading(),
            self._open() as db,
        ):  # opening the other one makes sure that it is there
            db.execute("attach database ? as b", [str(other.path)])
            db.execute("begin")
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is written when the block ends without an error."""
        with self._open() as db:
            db.execute("begin immediate")
            yield db
            db.execute("commit")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = self._connected()
        try:
            if db.execute("pragma user_version").fetchone()[0] != VERSION:
                _create(db)
            yield db
        finally:
            db.close()  # an open transaction is rolled back

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            db.execute(f"pragma cache_size = -{_CACHE_KB}")
            db.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            db.close()
            if isinstance(error, sqlite3.OperationalError):  # locked, or no permission
                raise
            self.discard()
            return self._connected()
        return db

    def discard(self) -> None:
        """Delete the store's files: what is damaged is filled again."""
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink(missing_ok=True)

    def forget(self) -> None:
        """Empty the store, so that it is filled from the first event again."""
        with self._open() as db:
            _create(db, anew=True)


def _create(db: sqlite3.Connection, anew: bool = False) -> None:
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = off")  # a lost store is filled again
    db.execute("begin immediate")
    if not anew and db.execute("pragma user_version").fetchone()[0] == VERSION:
        db.execute("commit")  # another process was faster
        return
    for name, kind in db.execute(
        "select name, type from sqlite_master where sql like 'create virtual%'"
    ).fetchall():
        db.execute(f"drop {kind} {name}")
    for name in [
        row[0]
        for row in db.execute("select name from sqlite_master where type = 'table'").fetchall()
    ]:
        if not name.startswith("sqlite_"):
            db.execute(f"drop table if exists {name}")
    script = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute(f"pragma user_version = {VERSION}")
    db.execute("commit")


def get_meta(db: sqlite3.Connection, key: str) -> Any:
    """A value that was kept under a name, or None."""
    row = db.execute("select value from meta where key = ?", [key]).fetchone()
    return row[0] if row else None


def set_meta(db: sqlite3.Connection, key: str, value: Any) -> None:
    """Keep a value under a name."""
    db.execute("insert or replace into meta values (?, ?)", [key, value])
