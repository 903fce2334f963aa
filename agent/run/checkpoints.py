"""The database of the graphs' states, `checkpoints.sqlite`, whose content has hashes.

It holds only which step an investigation had reached, which also follows from the log. So if it is
damaged, it is deleted. The investigations start from their first step again, and the journal has every
answer that was paid for or computed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.files.regular_file import IrregularFileError, check_regular
from ..runlog.layout import CHECKPOINTS

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.checkpoint.sqlite import SqliteSaver

HASHED = "+sha256"
"""Suffix of the type of a value that begins with its SHA-256."""
DIGEST_BYTES = 32
_NOT_DAMAGED = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_READONLY")
"""Errors of a database that is in use, or in a folder that cannot be written."""


class HashedSerializer:
    """Serializes as another serializer does, with the SHA-256 of the bytes before them."""

    def __init__(self, inner: SerializerProtocol) -> None:
        self._inner = inner

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Type and bytes of an object."""
        kind, content = self._inner.dumps_typed(obj)
        return kind + HASHED, hashlib.sha256(content).digest() + content

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The object; in old databases it has no hash."""
        kind, content = data
        if kind.endswith(HASHED):
            return self._inner.loads_typed((kind[: -len(HASHED)], content[DIGEST_BYTES:]))
        return self._inner.loads_typed(data)


@contextmanager
def open_checkpoints(folder: Path, say: Callable[[str], None]) -> Iterator[SqliteSaver]:
    """The saver of a run's graphs; a damaged database is deleted and made again, which `say` reports.

    Like the log, it does not wait for the disk at each commit. A killed process loses nothing, and
    what a power cut loses is done again from the journal. Waiting under the lock that all
    investigations share took longer than everything else that they do between two requests.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.checkpoint.sqlite import SqliteSaver

    if problem := checkpoint_problem(folder):
        say(f"{CHECKPOINTS} is damaged ({problem}); going on without it, from the journal")
        for path in folder.glob(f"{CHECKPOINTS}*"):
            path.unlink()
    with closing(sqlite3.connect(folder / CHECKPOINTS, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        yield SqliteSaver(database, serde=HashedSerializer(JsonPlusSerializer()))


def checkpoint_problem(folder: Path) -> str:
    """What is wrong with a run's database, in a few words; "" if nothing is, or there is none."""
    path = folder / CHECKPOINTS
    if not path.exists() and not path.is_symlink():
        return ""
    try:
        check_regular(path, inside=folder)
        with closing(sqlite3.connect(path)) as database:
            (result,) = database.execute("pragma quick_check").fetchone()
            if result != "ok":
                return " ".join(str(result).split())
            tables = {row[0] for row in database.execute("select name from sqlite_master")}
            for table, column in (("checkpoints", "checkpoint"), ("writes", "value")):
                if table in tables and _has_changed(database, table, column):
                    return f"a value in {table} was changed"
    except IrregularFileError as error:
        return str(error.strerror)
    except sqlite3.DatabaseError as error:
        is_elsewhere = error.sqlite_errorname.startswith(_NOT_DAMAGED)
        return "" if is_elsewhere else " ".join(str(error).split())
    except FileNotFoundError:
        return "a link to nothing"
    return ""


def _has_changed(database: sqlite3.Connection, table: str, column: str) -> bool:
    for kind, content in database.execute(f"select type, {column} from {table}"):
        if not isinstance(kind, str) or not isinstance(content, bytes | None):
            return True
        if not kind.endswith(HASHED):
            if "+" in kind:  # the mark itself was changed
                return True
        elif content is None or not _has_own_hash(content):
            return True
    return False


def _has_own_hash(content: bytes) -> bool:
    return hashlib.sha256(content[DIGEST_BYTES:]).digest() == content[:DIGEST_BYTES]
