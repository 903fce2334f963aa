"""The activation stores of the shards, put together batch by batch.

A shard has the rows of its batches in their order. One batch of one array is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from ...corpus import SPLITS, Split
from ...errors import CorruptError, UsageError
from ...files import atomic_folder
from ...files.checked_file import CheckedFile
from ..activation_store.layout import DESCRIPTION, STORE, StoredArray, shard_name, store_folder
from ..activation_store.store import read_store_description
from ..activation_store.writer import SplitStoreWriter
from .shard import listed
from .shard_folder import ShardFolder

OPEN_FILES = 128
"""At once, of all shards: a process may usually have 1,024."""


def check_stores(parts: Sequence[ShardFolder]) -> bool:
    """Whether the shards have activation stores.

    Raises:
        UsageError: some have one and others have none, or theirs differ.
        CorruptError: a store is damaged.
    """
    without = [part.shard.number for part in parts if not part.has_store]
    if len(without) == len(parts):
        return False
    cure = "compute the shards with the same --store and --store-bits, or merge with --no-store"
    if without:
        verb = "have" if len(without) > 1 else "has"
        raise UsageError(f"{listed(without)} {verb} no activation store, but others do; {cure}")
    for split in SPLITS:
        by_name: dict[str, StoredArray] = {}
        for part in parts:
            for array in PartStore(part, split).arrays:
                if by_name.setdefault(array.name, array) != array:
                    raise UsageError(
                        f"shard {part.shard} stores {array.name} as {array.encoding}, and others as "
                        f"{by_name[array.name].encoding}; {cure}"
                    )
    return True


class PartStore:
    """One split's rows of one shard.

    Attributes:
        arrays: what is stored; origin: of what.
    """

    def __init__(self, part: ShardFolder, split: Split) -> None:
        """Open it; raises CorruptError if it is damaged."""
        self.part, self._folder = part, store_folder(part.path, split)
        part.file(f"{STORE}/{split}/{DESCRIPTION}")
        description = read_store_description(self._folder, part.cure)
        self.arrays, self.origin = description.arrays, description.origin
        self._tokens, self._shard_tokens = description.tokens, description.shard_tokens
        self._hashes = description.hashes

    def require_tokens(self, expected: int) -> None:
        """Raise CorruptError unless it has so many rows."""
        if self._tokens != expected:
            raise CorruptError(
                f"{self._folder} holds {self._tokens:,} tokens instead of {expected:,}; "
                f"{self.part.cure}"
            )

    def open(self, name: str) -> CheckedFile:
        """One of its files."""
        return CheckedFile(self._folder / name, self._hashes[name], self.part.cure)

    def rows(
        self,
        array: StoredArray,
        start: int,
        stop: int,
        open_file: Callable[[PartStore, str], CheckedFile],
    ) -> Iterator[UInt8[np.ndarray, "token byte"]]:
        """Rows of an array, in pieces that do not cross from one file to the next."""
        while start < stop:
            number, row = divmod(start, self._shard_tokens)
            n_rows = min(stop - start, self._shard_tokens - row)
            file = open_file(self, shard_name(array, number))
            file.seek(row * array.row_bytes)
            content = file.read(n_rows * array.row_bytes)
            yield np.frombuffer(content, np.uint8).reshape(n_rows, array.row_bytes)
            start += n_rows


def merge_store(
    parts: Sequence[ShardFolder],
    split: Split,
    index: Path,
    batch_tokens: Int[np.ndarray, " batch"],
    owners: Int[np.ndarray, " batch"],
    report: Callable[[int], None],
) -> None:
    """Write a split's store into an index's folder, as one process writes it.

    Args:
        batch_tokens: tokens of each batch; owners: which of the shards has it.
        report: called with the bytes that have been read.

    Raises:
        CorruptError: a store is damaged.
    """
    stores = [PartStore(part, split) for part in parts]
    for row, store in enumerate(stores):
        store.require_tokens(int(batch_tokens[owners == row].sum()))
    # A layer that one shard could not store is left out, as one process leaves it out.
    arrays = [a for a in stores[0].arrays if all(a in store.arrays for store in stores)]
    open_file = lru_cache(maxsize=OPEN_FILES)(PartStore.open)
    with atomic_folder(store_folder(index, split)) as folder:
        writer = SplitStoreWriter(folder, arrays, stores[0].origin)
        for array in arrays:
            done = [0] * len(stores)
            for row, tokens in zip(owners.tolist(), batch_tokens.tolist(), strict=True):
                start = done[row]
                done[row] += tokens
                for rows in stores[row].rows(array, start, done[row], open_file):
                    writer.append(array, rows)
                    report(rows.nbytes)
        writer.finish()
