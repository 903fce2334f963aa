"""Reads one split's store; needs no torch. Every block of a file is checked when it is first read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from ...errors import CorruptError
from ...files.checked_file import BLOCK, CheckedFile, FileHashes, check_size
from ...files.sealed_json import read_sealed
from ..batch_plan import reading_order
from ..index_files import files_from_json
from .layout import (
    DESCRIPTION,
    ENTRIES,
    FORMAT,
    ArrayKind,
    StoredArray,
    StoreOrigin,
    check_entries,
    shard_name,
)


class StoreDescription(NamedTuple):
    """What `store.json` says."""

    origin: StoreOrigin
    tokens: int
    shard_tokens: int
    arrays: tuple[StoredArray, ...]
    hashes: dict[str, FileHashes]


def read_store_description(folder: Path, cure: str) -> StoreDescription:
    """Read the description in a store's folder, and check the sizes of its files.

    Raises:
        CorruptError: a file is missing or cut short, or the description is damaged.
    """
    try:
        content = read_sealed(folder / DESCRIPTION)
        if content.get("format") != FORMAT:
            raise ValueError(f"format {content.get('format')!r}, expected {FORMAT}")
        check_entries(content, ENTRIES)
        description = StoreDescription(
            StoreOrigin.from_json(content["origin"]),
            int(content["tokens"]),
            int(content["shard_tokens"]),
            tuple(StoredArray.from_json(array) for array in content["arrays"]),
            files_from_json(content["files"]),
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CorruptError(
            f"{folder / DESCRIPTION} is damaged, or another hubel wrote it ({error}); {cure}"
        ) from error
    for name, hashes in description.hashes.items():
        check_size(folder / name, hashes, cure)
    return description


class ActivationStore:
    """One split's store, open for reading.

    Attributes:
        tokens: number of rows.
        start: the first row of each context of the split; -1 for contexts of one token, which no
            pass reads.
    """

    def __init__(self, folder: Path, length: Int[np.ndarray, " context"]) -> None:
        """Open the store in a folder.

        Args:
            length: tokens of each context of the split, in the order of their numbers.

        Raises:
            CorruptError: a file is missing or cut short, or the description is damaged.
        """
        self.folder = folder
        self._cure = (
            f"rm -r {folder.parent} (the index works without its store; "
            "the command that built it makes the store again)"
        )
        description = read_store_description(folder, self._cure)
        self.arrays = {(array.kind, array.layer): array for array in description.arrays}
        self.origin, self.tokens = description.origin, description.tokens
        self._shard_tokens, self._hashes = description.shard_tokens, description.hashes
        order = reading_order(length)
        read = length[order].astype(np.int64)
        self.start = np.full(len(length), -1, np.int64)
        self.start[order] = np.cumsum(read) - read
        if int(read.sum()) != self.tokens:
            raise CorruptError(
                f"{folder} holds {self.tokens:,} tokens, but the index's contexts have "
                f"{int(read.sum()):,}; {self._cure}"
            )
        self._file = lru_cache(maxsize=256)(self._open)
        self._reading = Lock()

    def __repr__(self) -> str:
        return f"ActivationStore({str(self.folder)!r}, {self.tokens} tokens)"

    def array(self, kind: ArrayKind, layer: int | None = None) -> StoredArray | None:
        """The array of a kind and layer; None where it was not stored."""
        return self.arrays.get((kind, layer))

    def read(self, array: StoredArray, start: int, stop: int) -> Shaped[np.ndarray, " token ..."]:
        """Rows of an array in their stored format."""
        parts: list[np.ndarray] = []
        while start < stop:
            number, row = divmod(start, self._shard_tokens)
            end = min(stop - start + row, self._shard_tokens)
            file = self._file(shard_name(array, number))
            with self._reading:  # instruments of an open session may run in several threads
                file.seek(row * array.row_bytes)
                content = file.read((end - row) * array.row_bytes)
            parts.append(np.frombuffer(content, np.uint8))
            start += end - row
        flat = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.uint8), *parts])
        return array.rows(flat)

    def read_contexts(
        self,
        array: StoredArray,
        numbers: Int[np.ndarray, " context"],
        length: Int[np.ndarray, " context"],
    ) -> Shaped[np.ndarray, " token ..."]:
        """The rows of some contexts, one after the other; contexts that no pass reads have none."""
        starts = self.start[numbers]
        runs = _runs(starts[starts >= 0], length[starts >= 0])
        parts = [self.read(array, start, stop) for start, stop in runs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def read_rows(
        self, array: StoredArray, rows: Int[np.ndarray, " row"]
    ) -> Shaped[np.ndarray, " row ..."]:
        """Single rows, in ascending order; blocks of a file that have none of them are not read."""
        at_once = max(BLOCK // array.row_bytes, 1)
        parts = [self.read(array, 0, 0)]
        for block in np.unique(rows // at_once).tolist():
            low, high = np.searchsorted(rows, [block * at_once, (block + 1) * at_once])
            start, stop = int(rows[low]), int(rows[high - 1]) + 1
            values = self.read(array, start, stop)
            is_all = stop - start == high - low  # then nothing is copied
            parts.append(values if is_all else values[rows[low:high] - start])
        return np.concatenate(parts)

    def _open(self, name: str) -> CheckedFile:
        return CheckedFile(self.folder / name, self._hashes[name], self._cure)


def _runs(
    starts: Int[np.ndarray, " context"], length: Int[np.ndarray, " context"]
) -> Sequence[tuple[int, int]]:
    """Neighbouring rows as (first, end), in the order given."""
    if not len(starts):
        return [(0, 0)]
    ends = starts + length
    breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
    bounds = [0, *breaks.tolist(), len(starts)]
    return [(int(starts[first]), int(ends[last - 1])) for first, last in pairwise(bounds)]
