"""Tables of explanations from anywhere: CSV, JSONL or Parquet.

One row for each explanation: an address (``target``, ``address`` or ``unit``), a sentence
(``text``, ``explanation`` or ``description``) and optionally a ``predicate``. Everything is checked
before a model is loaded, and all bad rows are reported at once.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tools.errors import HubelError, UsageError
from ...tools.subject.address import Unit

ADDRESS_COLUMNS = ("target", "address", "unit")
SENTENCE_COLUMNS = ("text", "explanation", "description")
SUFFIXES = (".csv", ".jsonl", ".parquet")
REPORTED_ROWS = 5


@dataclass(frozen=True)
class Explanation:
    """A claim about one target."""

    target: str
    sentence: str
    predicate: str | None = None

    @property
    def id(self) -> str:
        """Hash of the claim, 12 hex digits."""
        return hashlib.sha256(f"{self.sentence}\0{self.predicate or ''}".encode()).hexdigest()[:12]


def is_table(path: Path) -> bool:
    """Whether a path names a table, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def read_table(path: Path) -> list[Explanation]:
    """The explanations of a table, checked as far as possible without a subject.

    Raises:
        UsageError: the file or a column is missing, the table is empty, or rows cannot be used.
    """
    if not path.is_file():
        raise UsageError(f"no table at {str(path)!r}")
    rows = list(_read(path))
    if not rows:
        raise UsageError(f"{path} has no rows; give one a target, with an address and a text")
    address = _column(path, rows[0], ADDRESS_COLUMNS)
    sentence = _column(path, rows[0], SENTENCE_COLUMNS)
    explanations = [
        Explanation(_cell(row, address), _cell(row, sentence), _cell(row, "predicate") or None)
        for row in rows
    ]
    reject_faulty_rows(path.name, explanations, _fault)
    # scores, events and rows are kept by target, so there can be one explanation of each
    repeated = [t for t, n in Counter(e.target for e in explanations).items() if n > 1]
    if repeated:
        raise UsageError(f"{path} has {min(repeated)} more than once; compare two tables instead")
    return explanations


def reject_faulty_rows(
    name: str, explanations: Sequence[Explanation], fault: Callable[[Explanation], str]
) -> None:
    """Raise a UsageError that names the rows with a fault; the first row is 1.

    Args:
        name: of the table.
        fault: why a row cannot be used, or "".
    """
    faults = [
        f"row {number} ({explanation.target or 'no address'}): {reason}"
        for number, explanation in enumerate(explanations, 1)
        if (reason := fault(explanation))
    ]
    if faults:
        more = len(faults) - REPORTED_ROWS
        raise UsageError(
            f"{name}: {len(faults)} of {len(explanations)} rows cannot be used: "
            f"{'; '.join(faults[:REPORTED_ROWS])}{f'; and {more} more' if more > 0 else ''}"
        )


def _fault(explanation: Explanation) -> str:
    """Why an explanation cannot be scored, or an empty string."""
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
    """The rows of a .parquet, .csv or .jsonl file."""
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
        raise UsageError(f"{path}, line {number}, is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number}, is not a JSON object")
    return row
