"""The derived store of a run: a SQLite file in the cache, by which the page sorts, filters and searches.

It is not a second source of truth. It holds what the log says, is filled as the log grows (`fill`),
and is made again when it is missing, damaged, of an older version, or of another run. Several
processes may fill one store; each step is a transaction.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ....tools.files import cache_dir

SCHEMA_VERSION = 10
"""Raise it when the schema or what is read into it changes."""
_CACHE_KB = 16_000


class Store:
    """The store of one run's folder, made when it is first opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        resolved = folder.resolve()  # there may be runs of one name in several places
        name = f"{resolved.name}-{hashlib.sha256(str(resolved).encode()).hexdigest()[:12]}"
        self.path = cache_dir() / "review" / name / "store.sqlite"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the store."""
        with self._open() as db:
            db.execute("begin")
            yield db

    @contextmanager
    def reading_with(self, other: Store) -> Iterator[sqlite3.Connection]:
        """A connection that also sees another run's store, under the schema name `b`."""
        # opening the other store makes sure that it exists
        with other.reading(), self._open() as db:
            db.execute("attach database ? as b", [str(other.path)])
            db.execute("begin")
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is committed when the block ends without an error."""
        with self._open() as db:
            db.execute("begin immediate")
            yield db
            db.execute("commit")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = self._connect()
        try:
            if not _is_current(db):
                _create_tables(db)
            yield db
        finally:
            db.close()  # an open transaction is rolled back

    def _connect(self) -> sqlite3.Connection:
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
            return self._connect()
        return db

    def discard(self) -> None:
        """Delete the store's files; a damaged store is filled again."""
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Empty the store, so that it is filled from the first event again."""
        with self._open() as db:
            _create_tables(db, clear=True)


def _is_current(db: sqlite3.Connection) -> bool:
    return db.execute("pragma user_version").fetchone()[0] == SCHEMA_VERSION


def _create_tables(db: sqlite3.Connection, clear: bool = False) -> None:
    """Create the tables, unless they are there in this version; drops those of another version."""
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = off")  # a lost store is filled again
    db.execute("begin immediate")
    if not clear and _is_current(db):
        db.execute("commit")  # another process was faster
        return
    # Dropping a full-text table drops its own tables with it, so these come first.
    virtual = "select name from sqlite_master where sql like 'create virtual%'"
    tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    for listing in (virtual, tables):
        for (name,) in db.execute(listing).fetchall():
            db.execute(f"drop table if exists {name}")
    script = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute(f"pragma user_version = {SCHEMA_VERSION}")
    db.execute("commit")


def get_meta(db: sqlite3.Connection, key: str) -> Any:
    """A value that is kept under a name, or None."""
    row = db.execute("select value from meta where key = ?", [key]).fetchone()
    return row[0] if row else None


def set_meta(db: sqlite3.Connection, key: str, value: Any) -> None:
    """Keep a value under a name."""
    db.execute("insert or replace into meta values (?, ?)", [key, value])


def bump_version(db: sqlite3.Connection) -> None:
    """Count that the store has changed, so that what was computed from it is computed again."""
    set_meta(db, "version", (get_meta(db, "version") or 0) + 1)
