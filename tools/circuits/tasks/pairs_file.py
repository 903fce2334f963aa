"""A user's own pairs: a table with a row for each prompt (`tools.rows` says which kinds are read).

The columns are `clean`, `corrupted`, `answer` and `foil`. Several answers or foils are a list, or
one text separated by |. Leading spaces count, and 0 is an answer. A column `part` (discovery or
heldout) says which prompts discovery may see; without it, every second prompt is held out, and the
user has to make sure that the two parts share no name or template. A clean prompt is used once:
later rows with the same are left out and counted.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple, get_args

from ...errors import UsageError
from ...rows import KINDS, Row, kind_of, read_all_rows
from ..prompts import PromptPair
from .task import Draw, Example, Part, Task

COLUMNS = ("clean", "corrupted", "answer", "foil")
LEAST = 12
"""Fewest prompts of each part; with fewer, even a perfect score does not show that a subject does it."""


class OwnPair(NamedTuple):
    """A row of the file; `part` is None where the file does not say."""

    pair: PromptPair
    part: Part | None
    place: str


def is_file_of_pairs(name: str) -> bool:
    """Whether a task's name is the path of a file."""
    return kind_of(Path(name)) is not None


def task_of_file(name: str) -> Task:
    """Read a file of pairs; raises UsageError with the row that has a fault."""
    path = Path(name)
    if not path.exists():
        raise UsageError(
            f"no file {name!r}; give a {', '.join(KINDS)} file with the columns "
            f"{', '.join(COLUMNS)}"
        )
    rows = [_parse_row(row) for row in read_all_rows(path, (*COLUMNS, "part"))]
    used, left_out = _first_of_each_prompt(rows)
    parts: dict[Part, list[PromptPair]] = {
        part: [row.pair for row in used if row.part == part] for part in get_args(Part)
    }
    unassigned = [row.pair for row in used if row.part is None]
    parts["discovery"] += unassigned[0::2]
    parts["heldout"] += unassigned[1::2]
    for part, pairs in parts.items():
        if len(pairs) < LEAST:
            without = "".join(f"; {n} rows left out: {why}" for why, n in left_out.items())
            raise UsageError(
                f"{name}: {len(pairs)} prompts for {part}; give at least {LEAST} for each part"
                f"{without}"
            )

    def draw_pair(draw: Draw) -> Example:
        return Example(draw.rng.choice(parts[draw.part]), {})

    return Task(path.stem, f"pairs of {path.name}", draw_pair, own=True, left_out=left_out)


def _first_of_each_prompt(rows: list[OwnPair]) -> tuple[list[OwnPair], dict[str, int]]:
    """The rows that are used, and the number of others by reason.

    Raises:
        UsageError: a prompt is in both parts.
    """
    first: dict[str, OwnPair] = {}
    left_out = defaultdict[str, int](int)
    for row in rows:
        earlier = first.setdefault(row.pair.clean, row)
        if earlier is row:
            continue
        if row.part != earlier.part:
            raise UsageError(
                f"{row.place}: {row.pair.clean!r} is in both parts, see {earlier.place}; "
                "held-out prompts must be new"
            )
        same = row.pair == earlier.pair
        left_out[
            "an earlier row is the same" if same else "an earlier row has its clean prompt"
        ] += 1
    return list(first.values()), dict(left_out)


def _parse_row(row: Row) -> OwnPair:
    name = row.text("part")
    part: Part | None = next((part for part in get_args(Part) if part == name), None)
    if name is not None and part is None:
        raise row.error(f"part {name!r} given; expected discovery or heldout")
    clean, corrupted = _required(row, "clean"), _required(row, "corrupted")
    answer, foil = _tokens(row, "answer"), _tokens(row, "foil")
    if both := set(answer) & set(foil):
        raise row.error(f"{min(both)!r} is an answer and a foil; they must differ")
    return OwnPair(PromptPair(clean, corrupted, answer, foil), part, row.place)


def _required(row: Row, column: str) -> str:
    text = row.text(column)
    if text is None:
        raise _missing(row, column)
    return text


def _tokens(row: Row, column: str) -> tuple[str, ...]:
    texts = row.texts(column)
    if texts is None:
        raise _missing(row, column)
    if isinstance(row.value(column), str):
        texts = tuple(texts[0].split("|"))
    if "" in texts:
        raise row.error(f"an empty {column} in {'|'.join(texts)!r}")
    return texts


def _missing(row: Row, column: str) -> UsageError:
    names = ", ".join(map(str, row.cells))
    return row.error(f"no {column!r}; give {', '.join(COLUMNS)} (the row has {names})")
