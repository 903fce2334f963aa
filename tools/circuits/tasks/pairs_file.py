"""A user's own pairs: CSV with a header, or JSONL.

Columns `clean`, `corrupted`, `answer` and `foil`; several answers or foils are a list, or are
parted by | in CSV. Leading spaces count. A column `part` (discovery or heldout) says which prompts
discovery may see; without it every second prompt is held out, and it is the user's business that no
name or template is on both sides.
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
"""Prompts of each part: with fewer, not even a subject that never errs is sure to do the task."""


def is_file_of_pairs(name: str) -> bool:
    """Whether a task's name means a file."""
    return Path(name).suffix.lower() in (".csv", ".jsonl")


def task_of_file(name: str) -> Task:
    """Read the pairs; raises UsageError that names the line which is not as it should be."""
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no file {name!r}; give a CSV or JSONL file with the columns {', '.join(COLUMNS)}"
        )
    rows = list(_rows(path))
    parts: dict[Part, list[PromptPair]] = {
        part: [pair for pair, at in rows if at == part] for part in get_args(Part)
    }
    unsaid = list(dict.fromkeys(pair for pair, at in rows if at is None))
    parts["discovery"] += unsaid[0::2]
    parts["heldout"] += unsaid[1::2]
    for part, pairs in parts.items():
        if len(pairs) < LEAST:
            raise UsageError(
                f"{name}: {len(pairs)} prompts for {part}; give at least {LEAST} for each part"
            )
    if shared := {p.clean for p in parts["discovery"]} & {p.clean for p in parts["heldout"]}:
        raise UsageError(f"{name}: {min(shared)!r} is in both parts; held-out prompts must be new")

    def draw(dice: Draw) -> Example:
        return Example(dice.rng.choice(parts[dice.part]), {})

    return Task(path.stem, f"pairs of {path.name}", draw, own=True)


def _rows(path: Path) -> Iterator[tuple[PromptPair, Part | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            lines: Iterator[dict[str, Any]] = csv.DictReader(file)
        else:
            lines = (_parsed(path, at, line) for at, line in enumerate(file, 1) if line.strip())
        for at, row in enumerate(lines, 1):
            yield _pair(path, at, row)


def _parsed(path: Path, at: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {at} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(
            f"{path}, line {at}: {found!r} given; expected an object with {', '.join(COLUMNS)}"
        )
    return found


def _pair(path: Path, at: int, row: dict[str, Any]) -> tuple[PromptPair, Part | None]:
    if missing := [name for name in COLUMNS if not row.get(name)]:
        raise UsageError(f"{path}, pair {at}: no {missing[0]!r}; give {', '.join(COLUMNS)}")
    part = row.get("part") or None
    if part not in (None, *get_args(Part)):
        raise UsageError(f"{path}, pair {at}: part {part!r} given; expected discovery or heldout")
    answer, foil = (_several(row[name]) for name in ("answer", "foil"))
    if both := set(answer) & set(foil):
        raise UsageError(
            f"{path}, pair {at}: {min(both)!r} is an answer and a foil; they must differ"
        )
    return PromptPair(str(row["clean"]), str(row["corrupted"]), answer, foil), part


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(value.split("|")) if isinstance(value, str) else tuple(str(item) for item in value)
