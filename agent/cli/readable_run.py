"""The boundary of a run that somebody else made, or changed: what is wrong with it is one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...tools.errors import CorruptError

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
        raise _misshapen(folder, error) from error
    except Exception as error:
        # duckdb, which is slow to import, has its own tree of errors
        if type(error).__module__.partition(".")[0] not in ("duckdb", "_duckdb"):
            raise
        raise _misshapen(folder, error) from error


def _misshapen(folder: Path, error: Exception) -> CorruptError:
    reason = " ".join(str(error).split())[:300]
    return CorruptError(
        f"{folder} cannot be read ({type(error).__name__}: {reason}): it was changed, or another program "
        "wrote it; restore it from a copy"
    )
