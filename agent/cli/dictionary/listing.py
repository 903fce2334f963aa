"""`hubel dictionary list`: the dictionaries in a folder, read from their files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import HubelError, UsageError
from .. import output
from ..exit_status import DONE

if TYPE_CHECKING:
    from ....tools.dictionaries.dictionary import Dictionary

COLUMNS = ("path", "format", "reads", "writes", "width", "latents", "activation", "model")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look."""
    parser.add_argument("folder", type=Path, metavar="PATH", help="a folder of dictionaries")


def run(args: argparse.Namespace) -> int:
    """One row for each dictionary; one that cannot be read says why."""
    from ....tools.dictionaries.read import FORMATS, dictionaries_inside, format_of, read_dictionary

    if not args.folder.exists():
        raise UsageError(f"there is no folder {str(args.folder)!r}")
    is_one = any(entry.matches(args.folder) for entry in FORMATS.values())
    paths = [args.folder] if is_one else dictionaries_inside(args.folder)
    if not paths:
        format_of(args.folder)  # raises, with the files that it would know
    rows: list[dict[str, object]] = []
    for path in paths:
        kind = next(name for name, entry in FORMATS.items() if entry.matches(path))
        try:
            rows.append(_row(path, kind, read_dictionary(path, "listed")))
        except HubelError as error:
            empty = dict[str, object](dict.fromkeys(COLUMNS[2:]))
            rows.append({"path": str(path), "format": kind} | empty | {"error": str(error)})
    if args.json:
        for row in rows:
            output.json_line(row)
        return DONE
    cells = [[row[column] for column in COLUMNS] for row in rows]
    output.table(COLUMNS, cells, right=("width", "latents"))
    for row in rows:
        if row["error"]:
            output.line(f"{row['path']}: {row['error']}")
    return DONE


def _row(path: Path, kind: str, dictionary: Dictionary) -> dict[str, object]:
    return {
        "path": str(path),
        "format": kind,
        "reads": str(dictionary.reads),
        "writes": str(dictionary.writes),
        "width": dictionary.encoder.shape[0],
        "latents": dictionary.n_latents,
        "activation": type(dictionary.activation).__name__,
        "model": dictionary.model or None,
        "error": None,
    }
