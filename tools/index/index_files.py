"""The files of an index, checked as they are opened and read.

`index.json` has the size and the hashes of each. Sizes are compared when the index is opened, and
hashes when a block of a file is first read (`checked_file`). Indexes of format 1 have no hashes:
their files are read as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ..errors import CorruptError
from ..files.checked_file import CheckedFile, FileHashes, check_size
from ..files.regular_file import check_inside, check_regular

VOCABULARY = "vocabulary.parquet"
DIRECTIONS = "directions.safetensors"


class IndexFiles:
    """Opens the files of one index by their names, such as ``explore/contexts.parquet``.

    Args:
        hashes: of each file by its name; None if they were not recorded.
        cure: what to do about a damaged file, for the end of a message.
    """

    def __init__(self, folder: Path, hashes: Mapping[str, FileHashes] | None, cure: str) -> None:
        self.folder, self.hashes, self.cure = folder, hashes, cure

    def check_sizes(self) -> None:
        """Raise CorruptError unless every recorded file has its size."""
        for name, hashes in (self.hashes or {}).items():
            check_size(self.folder / name, hashes, self.cure)

    def open(self, name: str) -> IO[bytes] | Path:
        """A file for Arrow to read; raises CorruptError if it is missing or not the recorded one."""
        path = self.folder / name
        with self.reading(name):
            check_inside(path, self.folder)
            if self.hashes is None:
                check_regular(path)
                return path
            return CheckedFile(path, self.hashes[name], self.cure)  # pyright: ignore[reportReturnType]

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Turn what a library raises for a damaged file into a CorruptError that names it."""
        # Without hashes a damaged file can make Arrow and numpy raise nearly anything.
        unreadable: tuple[type[Exception], ...] = (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            MemoryError,
        )
        try:
            yield
        except (*unreadable, pa.ArrowException) as error:
            raise CorruptError(
                f"{self.folder / name} cannot be read ({_line(error)}); {self.cure}"
            ) from error


def hash_files(folder: Path) -> dict[str, FileHashes]:
    """The hashes of all files below a folder, by path within it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): FileHashes.of(path) for path in paths}


def files_to_json(hashes: Mapping[str, FileHashes]) -> dict[str, Any]:
    """For a manifest."""
    return {name: record.to_json() for name, record in hashes.items()}


def files_from_json(records: Mapping[str, Any]) -> dict[str, FileHashes]:
    """What `files_to_json` gave; raises KeyError, TypeError or ValueError for anything else."""
    return {name: FileHashes.from_json(record) for name, record in records.items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
