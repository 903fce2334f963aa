"""Rows of JSON: an object on each line, or an array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files.strict_json import parse_strict_json
from .lines import read_lines
from .row import Row

MAX_ARRAY_BYTES = 1 << 26
"""An array is read whole, which takes up to 30 times as much memory as text."""


def json_line_rows(path: Path) -> Iterator[Row]:
    """The object on each line; blank lines are skipped."""
    hint = "; each line should be one JSON object"
    for number, line in read_lines(path, hint=hint):
        if line.strip():
            place = f"{path}:{number}"
            yield _row(place, _parse(place, line, "each line should be one"), "the line has")


def json_array_rows(path: Path) -> Iterator[Row]:
    """The objects of an array, or a single object; an object on each line is read as such."""
    first = next((text for _, text in read_lines(path, MAX_ARRAY_BYTES) if text.strip()), "")
    if _is_object(first):
        yield from json_line_rows(path)
        return
    parts: list[str] = []
    size = 0
    for _, text in read_lines(path, MAX_ARRAY_BYTES):
        size += len(text)
        if size > MAX_ARRAY_BYTES:
            raise UsageError(
                f"{path}: JSON of more than {MAX_ARRAY_BYTES >> 20} MB; give JSONL, "
                "with an object on each line"
            )
        parts.append(text)
    content = _parse(str(path), "".join(parts), "expected an array of objects")
    for number, row in enumerate(content if isinstance(content, list) else [content], 1):
        yield _row(f"{path}, row {number}", row, "the row is")


def _is_object(line: str) -> bool:
    """Whether a line is a whole object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _parse(place: str, text: str, expected: str) -> Any:
    try:
        return parse_strict_json(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not a JSON object: {error}; {expected}") from error


def _row(place: str, value: object, given: str) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{place}: a JSON object is needed; {given} a {type(value).__name__}")
    return Row(place, value)
