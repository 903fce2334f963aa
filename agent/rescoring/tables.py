"""Explanations from anywhere: a finished run's, or a table that someone brings (CSV, JSONL,
Parquet).

A table has a row an explanation: an address (``target``, ``address`` or ``unit``), a sentence
(``text``, ``explanation`` or ``description``) and, if there is one, a ``predicate``. Everything is
checked before a model is loaded, and all bad rows are named at once.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tools.errors import HubelError, UsageError
from ...tools.subject.address import Unit

ADDRESS = ("target", "address", "unit")
SENTENCE = ("text", "explanation", "description")
SUFFIXES = (".csv", ".jsonl", ".parquet")
SHOWN = 5


@dataclass(frozen=True)
class Explanation:
    """A claim about one target."""

    target: str
    sentence: str
    predicate: str | None = None

    @property
    def id(self) -> str:
        """Twelve hex digits that change with the claim."""
        return hashlib.sha256(f"{self.sentence}\0{self.predicate or ''}".encode()).hexdigest()[:12]


def is_table(path: Path) -> bool:
    """Whether a name is that of a table."""
    return path.suffix.lower() in SUFFIXES


def read_table(path: Path) -> list[Explanation]:
    """The explanations of a table, checked as far as it goes without a subject.

    Raises:
        UsageError: the file or a column is not there, it is empty, or rows are off: the first few are named.
    """
    if not path.is_file():
        raise UsageError(f"no table at {str(path)!r}")
    rows = list(_read(path))
    if not rows:
        raise UsageError(f"{path} has no rows; give one a target, with an address and a text")
    address, sentence = _column(path, rows[0], ADDRESS), _column(path, rows[0], SENTENCE)
    found = [
        Explanation(_cell(row, address), _cell(row, sentence), _cell(row, "predicate") or None)
        for row in rows
    ]
    reject_faulty_rows(path.name, found, _fault)
    twice = {
        e.target for i, e in enumerate(found) if e.target in {other.target for other in found[:i]}
    }
    if twice:
        raise UsageError(
            f"{path} has {sorted(twice)[0]} more than once; compare two tables instead"
        )
    return found


def reject_faulty_rows(
    name: str, found: Iterable[Explanation], fault: Callable[[Explanation], str]
) -> None:
    """Raise a UsageError that names the rows with a fault, the first row being 1."""
    rows = list(found)
    bad = [
        f"row {number} ({e.target or 'no address'}): {why}"
        for number, e in enumerate(rows, 1)
        if (why := fault(e))
    ]
    if bad:
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UsageError(
            f"{name}: {len(bad)} of {len(rows)} rows cannot be used: {'; '.join(bad[:SHOWN])}{more}"
        )


def _fault(explanation: Explanation) -> str:
    from ...tools.dissection import Predicate

    if not explanation.sentence:
        return "the text is empty"
    try:
        Unit.parse(explanation.target)
        if explanation.predicate is not None:
            Predicate.parse(explanation.predicate)
    except HubelError as error:
        return str(error)
    return ""


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "" if value is None else " ".join(str(value).split())


def _column(path: Path, row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if name in row:
            return name
    raise UsageError(
        f"{path} has no column {' or '.join(map(repr, names))}; it has {', '.join(map(str, row))}"
    )


def _read(path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            return pq.read_table(path).to_pylist()
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                return list(csv.DictReader(file))
        lines = path.read_text(encoding="utf-8").splitlines()
        return [
            _json_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()
        ]
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 ({error.reason} at byte {error.start})") from None
    except (csv.Error, OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from None


def _json_row(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}, line {number}, is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number}, is no JSON object")
    return row
