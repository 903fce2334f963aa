"""A user's own pairs: CSV with a header, or JSONL.

The columns are `clean`, `corrupted`, `answer` and `foil`. Several answers or foils are a list in
JSONL, and separated by | in CSV. Leading spaces count. A column `part` (discovery or heldout) says
which prompts discovery may see; without it, every second prompt is held out, and the user has to
make sure that the two parts share no name or template.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from ...errors import UsageError
from ..prompts import PromptPair
from .task import Draw, Example, Part, Task

COLUMNS = ("clean", "corrupted", "answer", "foil")
LEAST = 12
"""Fewest prompts of each part; with fewer, even a perfect score does not show that a subject does it."""


def is_file_of_pairs(name: str) -> bool:
    """Whether a task's name is the path of a file."""
    return Path(name).suffix.lower() in (".csv", ".jsonl")


def task_of_file(name: str) -> Task:
    """Read a file of pairs; raises UsageError with the line or pair that has a fault."""
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no file {name!r}; give a CSV or JSONL file with the columns {', '.join(COLUMNS)}"
        )
    rows = list(_rows(path))
    parts: dict[Part, list[PromptPair]] = {
        part: [pair for pair, row_part in rows if row_part == part] for part in get_args(Part)
    }
    # fromkeys drops duplicates, which could land in both parts
    unassigned = list(dict.fromkeys(pair for pair, row_part in rows if row_part is None))
    parts["discovery"] += unassigned[0::2]
    parts["heldout"] += unassigned[1::2]
    for part, pairs in parts.items():
        if len(pairs) < LEAST:
            raise UsageError(
                f"{name}: {len(pairs)} prompts for {part}; give at least {LEAST} for each part"
            )
    discovery, heldout = ({pair.clean for pair in pairs} for pairs in parts.values())
    if shared := discovery & heldout:
        raise UsageError(f"{name}: {min(shared)!r} is in both parts; held-out prompts must be new")

    def draw_pair(draw: Draw) -> Example:
        return Example(draw.rng.choice(parts[draw.part]), {})

    return Task(path.stem, f"pairs of {path.name}", draw_pair, own=True)


def _rows(path: Path) -> Iterator[tuple[PromptPair, Part | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            lines: Iterator[dict[str, Any]] = csv.DictReader(file)
        else:
            lines = (
                _parse_line(path, number, line)
                for number, line in enumerate(file, 1)
                if line.strip()
            )
        for number, row in enumerate(lines, 1):
            yield _parse_row(path, number, row)


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {number} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UsageError(
            f"{path}, line {number}: {row!r} given; expected an object with {', '.join(COLUMNS)}"
        )
    return row


def _parse_row(path: Path, number: int, row: dict[str, Any]) -> tuple[PromptPair, Part | None]:
    if missing := [name for name in COLUMNS if not row.get(name)]:
        raise UsageError(f"{path}, pair {number}: no {missing[0]!r}; give {', '.join(COLUMNS)}")
    part = row.get("part") or None
    if part not in (None, *get_args(Part)):
        raise UsageError(
            f"{path}, pair {number}: part {part!r} given; expected discovery or heldout"
        )
    answer, foil = (_split_tokens(row[name]) for name in ("answer", "foil"))
    if both := set(answer) & set(foil):
        raise UsageError(
            f"{path}, pair {number}: {min(both)!r} is an answer and a foil; they must differ"
        )
    return PromptPair(str(row["clean"]), str(row["corrupted"]), answer, foil), part


def _split_tokens(value: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(value.split("|")) if isinstance(value, str) else tuple(str(item) for item in value)
