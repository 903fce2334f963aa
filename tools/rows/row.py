"""A row of a table, and what its cells mean in every format.

A cell without a value is None: a null, a missing key, an empty string, an empty cell of CSV. The
reader decides what that means: an optional column takes its default, a required one is an error
that names the row, and a corpus leaves the document out and counts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import UsageError


class Row(NamedTuple):
    """Cells by column; `place` says where the row is: ``pairs.csv:3``."""

    place: str
    cells: Mapping[str, Any]

    def value(self, column: str) -> Any:
        """A cell as it is, or None where it has no value. Zero and False are values."""
        value = self.cells.get(column)
        return None if isinstance(value, str) and not value else value

    def text(self, column: str, *, strict: bool = False) -> str | None:
        """A cell as text, or None where it has no value; numbers are written out.

        Args:
            strict: refuse numbers, which are not prose.

        Raises:
            UsageError: the cell is not text, or its text cannot be written as UTF-8.
        """
        value = self.value(column)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(f"column {column!r} holds {_describe(value)}; expected text")
        if strict and not isinstance(value, str):
            raise self.error(f"column {column!r} holds the number {value}; expected text")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"column {column!r} holds {value}; expected text or a finite number")
        return self._check(column, str(value))

    def texts(self, column: str) -> tuple[str, ...] | None:
        """A list of texts; a single text is a list of one."""
        value = self.value(column)
        if not isinstance(value, list):
            single = self.text(column)
            return None if single is None else (single,)
        items = [Row(self.place, {column: item}).text(column) for item in value]
        if None in items:
            raise self.error(f"column {column!r} has an empty item in its list")
        return tuple(item for item in items if item is not None) or None

    def error(self, problem: str) -> UsageError:
        """An error that names the row."""
        return UsageError(f"{self.place}: {problem}")

    def _check(self, column: str, text: str) -> str:
        if "\0" in text:
            raise self.error(f"column {column!r} has a NUL character, which is not text")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self.error(
                f"column {column!r} has {text[error.start]!r} at character {error.start + 1}, "
                "half of a surrogate pair and not text; write such characters whole"
            ) from None
        return text


def _describe(value: object) -> str:
    names = {bool: "true or false", list: "a list", dict: "an object", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")
