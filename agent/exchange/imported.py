"""An imported set on disk: a folder among the runs, which nothing changes after it is written.

    config.toml          kind "imported" (`config`)
    explanations.jsonl   the head of the set on the first line, then one unit on each line (`records`)
    events/, seal.json   a log with the hashes of both files

It is written under a hidden name and renamed, so that a set is whole or not there. `hubel eval` keeps
what it measures in a folder of its own, one for each index.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from ...tools.errors import CorruptError, UsageError
from ...tools.files.atomic import scratch_folder
from ...tools.files.regular_file import IrregularFileError, open_regular
from ...tools.files.strict_json import parse_strict_json
from ..runlog.config import versions
from ..runlog.data_files import check_file, record_file, record_inputs
from ..runlog.layout import CONFIG, EXPLANATIONS, run_argument
from ..runlog.log import RunLog, storable
from .config import ImportConfig, is_imported
from .records import ExplainedUnit, ExplanationSet, unit_of_row, unit_row

MAX_BYTES = 4 << 30
"""The largest explanations.jsonl; 100,000 units with 40 texts each take about 3 GB."""
MAX_LINE = 64 << 20
"""Bytes of one unit; 300 texts of 1,024 tokens take 6 MB."""
EVENT = "imported"
"""The event that says what was read; its data is the head of the set."""


def write_set(folder: Path, explanations: ExplanationSet, config: ImportConfig) -> None:
    """Write a set to a new folder, whole or not at all.

    Raises:
        UsageError: there is something of that name.
    """
    if folder.exists():
        raise UsageError(
            f"{folder} is there already; choose another --name, or delete it (rm -r {run_argument(folder)})"
        )
    settings = {**config.to_settings(), "versions": versions()}
    with scratch_folder(folder) as part:
        whole = part / folder.name
        ImportConfig.from_settings(settings).save(whole)
        with (whole / EXPLANATIONS).open("w", encoding="utf-8") as file:
            for row in (explanations.head(), *map(unit_row, explanations)):
                file.write(storable(row) + "\n")
        with closing(RunLog(whole)) as log:
            record_inputs(log)
            record_file(log, EXPLANATIONS)
            log.write(EVENT, explanations.head())
            log.seal()
        whole.rename(folder)


def read_set(folder: Path) -> ExplanationSet:
    """An imported set, checked against the hashes in its log.

    Raises:
        UsageError: the folder is not an imported set.
        CorruptError: a file was changed after it was written, or cannot be read.
    """
    if not is_imported(folder):
        raise UsageError(f"{folder.name} was not imported: it is a run")
    check_file(folder, CONFIG)
    check_file(folder, EXPLANATIONS)
    rows = _rows(folder)
    head = next(rows, None)
    if head is None:
        raise CorruptError(f"{folder / EXPLANATIONS} is empty; import the set again")
    return ExplanationSet.from_head(head, list(map(unit_of_row, rows)))


def read_units(folder: Path, first: int, count: int) -> list[ExplainedUnit]:
    """Some of the units of a set, from the number `first` on, for lists that show a page."""
    check_file(folder, EXPLANATIONS)
    return [unit_of_row(row) for row in islice(_rows(folder), first + 1, first + 1 + count)]


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The values on the lines of explanations.jsonl."""
    path = folder / EXPLANATIONS
    try:
        with open_regular(path, inside=folder, max_bytes=MAX_BYTES) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
                yield _row_of(line, f"{path}:{number}")
    except IrregularFileError as error:
        raise CorruptError(f"{path} is not read: {error.strerror}; import the set again") from None


def _row_of(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = parse_strict_json(line.decode())
        if not isinstance(row, dict):
            raise TypeError(f"a {type(row).__name__}, where an object is expected")
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptError(f"{place} cannot be read: {error}; import the set again") from error
    return row
