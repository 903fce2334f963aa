"""The boundary of a run that another person made or changed: what is wrong with it is one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...tools.errors import CorruptError
from ..runlog.unreadable_run import unreadable_run

MISSHAPEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    sqlite3.DatabaseError,
)
"""What reading raises of a value that is missing, of another type, or too large."""


@contextmanager
def readable_run(folder: Path) -> Iterator[None]:
    """Raise CorruptError where a run's files are not as any version of hubel writes them.

    `--debug` shows where that was noticed.
    """
    try:
        yield
    except MISSHAPEN as error:
        raise CorruptError(unreadable_run(folder, error)) from error
    except Exception as error:
        # duckdb, which is slow to import, has its own tree of errors; all others are raised again
        if type(error).__module__.partition(".")[0] not in ("duckdb", "_duckdb"):
            raise
        raise CorruptError(unreadable_run(folder, error)) from error
