"""Tables of sentences, CSV, JSONL and Parquet: the one format that holds all of a score.

Written, one row for each unit: the columns below, then `SCORER/SPLIT/TEXT` for each score, with
`.low`, `.high` and `.floor.NAME` (and `.judge`, where a model judged).

Read, a table of anyone: an address in `target`, `unit` or `address`, a sentence in `text`,
`explanation`, `description` or `sentence`, and whatever of the columns below it has. Other columns
are left out, and said to be.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ....tools.errors import HubelError, UsageError
from ....tools.rows import Row, column_names, kind_of, read_all_rows
from ..losses import ALL
from ..places import check_address
from ..records import ExplainedUnit, ExplanationSet, RecordedScore, SetOrigin, lacking
from ..registry import ExchangeFormat, ReadOptions
from ..run_texts import RunTexts
from ..source_json import finite

ADDRESS_COLUMNS = ("target", "unit", "address")
SENTENCE_COLUMNS = ("text", "explanation", "sentence", "description")
TEXT_COLUMNS = (
    "predicate",
    "gist",
    "headline",
    "explainer",
    "status",
    "error",
    "verdict",
    "reason",
    "tier",
)
MAX_FILE_BYTES = 1 << 30
HOLDS = ALL - {"texts", "token logits", "statistics", "conversations"}
REPORTED = 3
"""Faulty rows that a message names."""


# ---------------------------------------------------------------- writing


def write_csv(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write CSV with a header."""
    columns, rows = _table(explanations)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return []


def write_jsonl(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write an object on each line; every row has the same keys."""
    columns, rows = _table(explanations)
    with out.open("w", encoding="utf-8") as file:
        for row in rows:
            cells = {column: row.get(column) for column in columns}
            file.write(json.dumps(cells, ensure_ascii=False, allow_nan=False) + "\n")
    return []


def write_parquet(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write Parquet: text and float64 columns, null where there is nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, rows = _table(explanations)
    is_text = {"target", "text", *TEXT_COLUMNS}
    arrays = {
        column: pa.array(
            [row.get(column) for row in rows],
            pa.string() if column in is_text or column.endswith(".judge") else pa.float64(),
        )
        for column in columns
    }
    pq.write_table(pa.table(arrays), out, compression="zstd")
    return []


def _table(explanations: ExplanationSet) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows: every score of any unit has its columns."""
    rows = [_row(unit) for unit in explanations]
    columns = dict.fromkeys(("target", "text", *TEXT_COLUMNS, "p"))
    for row in rows:
        columns |= dict.fromkeys(row)
    return list(columns), rows


def _row(unit: ExplainedUnit) -> dict[str, Any]:
    texts = {"target": unit.unit, "text": unit.sentence}
    texts |= {name: getattr(unit, name) for name in TEXT_COLUMNS}
    row: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if unit.p is not None:
        row["p"] = unit.p
    for score in unit.scores:
        row |= _cells(score)
    return row


def _cells(score: RecordedScore) -> dict[str, Any]:
    """A score as cells: its value under its name, and what is known of it behind a point."""
    name = f"{score.scorer}/{score.split}/{score.text}"
    if score.judge:
        name = f"{name}/{score.judge}"
    cells: dict[str, Any] = {
        name: score.value,
        f"{name}.low": score.low,
        f"{name}.high": score.high,
    }
    cells |= {f"{name}.floor.{floor}": value for floor, value in score.floors.items()}
    return {column: value for column, value in cells.items() if value is not None}


# ---------------------------------------------------------------- reading


def read_table(path: Path, _options: ReadOptions) -> ExplanationSet:
    """The explanations of a table.

    Raises:
        UsageError: a column is missing, or rows cannot be used; the message names the first.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UsageError(
            f"{path} has {path.stat().st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read: split it"
        )
    columns = column_names(path)
    address, sentence = (
        _column(path, columns, ADDRESS_COLUMNS),
        _column(path, columns, SENTENCE_COLUMNS),
    )
    scores = [name for name in columns if name.count("/") >= 2 and not _is_part(name, columns)]
    units: list[ExplainedUnit] = []
    faults: list[str] = []
    rows = read_all_rows(path)
    for row in rows:
        try:
            units.append(_unit(row, address, sentence, scores, columns))
        except HubelError as error:
            faults.append(str(error))
    if not rows:
        raise UsageError(f"{path} has no rows; give each unit one, with an address and a text")
    if faults:
        more = f"; and {len(faults) - REPORTED} more" if len(faults) > REPORTED else ""
        listed = "; ".join(faults[:REPORTED])
        raise UsageError(f"{len(faults)} of {len(rows)} rows cannot be used: {listed}{more}")
    return ExplanationSet(
        path.stem,
        SetOrigin(kind_of(path) or "", str(path)),
        tuple(units),
        lacking(
            units,
            "the table does not say on which text its scores were measured",
            "a table has none",
        ),
        _left_out(columns, {address, sentence, *TEXT_COLUMNS, "p"}, scores),
    )


def _column(path: Path, columns: Sequence[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return name
    there = ", ".join(columns[:20]) or "none"
    raise UsageError(f"{path} has no column {' or '.join(map(repr, names))}; it has {there}")


def _is_part(column: str, columns: Sequence[str]) -> bool:
    """Whether a column says more of a score in another column."""
    head, point, _ = column.partition(".floor.")
    if not point:
        head, point, tail = column.rpartition(".")
        point = point if tail in ("low", "high") else ""
    return bool(point) and head in columns


def _unit(
    row: Row, address: str, sentence: str, scores: Sequence[str], columns: Sequence[str]
) -> ExplainedUnit:
    values: dict[str, Any] = {name: _one_line(row, name) for name in TEXT_COLUMNS}
    status = values["status"] or "done"
    if status not in ("done", "failed", "pending"):
        raise row.error(f"status {status!r}; expected done, failed or pending")
    words = _one_line(row, sentence)
    if not words and status == "done" and not values["verdict"]:
        raise row.error(f"column {sentence!r} is empty, and nothing says that the unit failed")
    try:
        target = check_address(_one_line(row, address) or "")
    except UsageError as error:
        raise row.error(str(error)) from None
    recorded = [_score(row, name, columns) for name in scores]
    # not on one line: a token of several spaces is one of its words
    values |= {"status": status, "p": _number(row, "p"), "predicate": row.text("predicate") or ""}
    place = row.place.rpartition("/")[2]
    known = tuple(score for score in recorded if score is not None)
    return ExplainedUnit(target, place, words, scores=known, **values)


def _score(row: Row, name: str, columns: Sequence[str]) -> RecordedScore | None:
    value = _number(row, name)
    if value is None:
        return None
    scorer, split, text, *judge = name.split("/", 3)
    prefix = f"{name}.floor."
    floors = {
        column.removeprefix(prefix): _number(row, column)
        for column in columns
        if column.startswith(prefix)
    }
    known = {floor: number for floor, number in floors.items() if number is not None}
    low, high = _number(row, f"{name}.low"), _number(row, f"{name}.high")
    return RecordedScore(scorer, value, split, text, low, high, known, "".join(judge))


def _number(row: Row, column: str) -> float | None:
    """A cell as a finite number, or None where it is empty."""
    value = row.value(column)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise row.error(f"column {column!r} holds {value!r:.60}; expected a number") from None
    return None if value is None else finite(value, f"{row.place}: column {column!r}")


def _one_line(row: Row, column: str) -> str:
    return " ".join((row.text(column) or "").split())


def _left_out(columns: Iterable[str], used: set[str], scores: Iterable[str]) -> tuple[str, ...]:
    unknown = [c for c in columns if c not in used and not any(c.startswith(s) for s in scores)]
    return (f"columns that were not read: {', '.join(unknown[:12])}",) if unknown else ()


def _recogniser(kind: str) -> Any:
    return lambda path: path.is_file() and kind_of(path) == kind


FORMATS = (
    ExchangeFormat(
        "csv", "CSV", HOLDS, (".csv",), write_csv, read_table,
        lambda path: path.is_file() and kind_of(path) in (".csv", ".tsv"),
    ),
    ExchangeFormat(
        "jsonl", "JSONL", HOLDS, (".jsonl",), write_jsonl, read_table,
        lambda path: path.is_file() and kind_of(path) in (".jsonl", ".json"),
    ),
    ExchangeFormat(
        "parquet", "Parquet", HOLDS, (".parquet",), write_parquet, read_table,
        _recogniser(".parquet"),
    ),
)  # fmt: skip
