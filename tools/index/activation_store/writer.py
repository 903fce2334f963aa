"""Appends rows to the shards of a store, hashes them on the way, and resumes after a kill.

1. Every array gets the same tokens in the same order; a row never crosses from one shard to the next.
2. A checkpoint is the number of rows and the hashes of all shards at that moment.
3. Resuming cuts the files back to the checkpoint and hashes the unfinished shards again; a store with
   a file that is not what was written is begun again.
4. The description is written when the split is complete: a store without one does not count.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ...errors import CorruptError
from ...files.checked_file import FileHashes, HashedFile, check_size
from ...files.sealed_json import write_sealed
from ..index_files import files_from_json, files_to_json
from .layout import DESCRIPTION, FORMAT, SHARD_TOKENS, StoredArray, StoreOrigin, shard_name


class _ArrayWriter:
    """One array's shards: finished ones are known by their hashes, the last one is open."""

    def __init__(self, folder: Path, array: StoredArray) -> None:
        self._folder, self.array = folder, array
        self.rows = 0
        self._finished: dict[str, FileHashes] = {}
        self._open: HashedFile | None = None
        (folder / array.name).mkdir(parents=True, exist_ok=True)

    def append(self, rows: UInt8[np.ndarray, "token byte"]) -> None:
        while len(rows):
            room = SHARD_TOKENS - self.rows % SHARD_TOKENS
            part, rows = rows[:room], rows[room:]
            shard = self._shard()
            shard.append(np.ascontiguousarray(part).reshape(-1).data)
            self.rows += len(part)
            if self.rows % SHARD_TOKENS == 0:
                self._finished[self._name] = shard.hashes()
                shard.sync()
                shard.close()
                self._open = None

    def _shard(self) -> HashedFile:
        if self._open is None:
            self._name = shard_name(self.array, self.rows // SHARD_TOKENS)
            self._open = HashedFile(self._folder / self._name)
        return self._open

    def hashes(self) -> dict[str, FileHashes]:
        last = {self._name: self._open.hashes()} if self._open else {}
        return self._finished | last

    def resume(self, rows: int, hashes: dict[str, FileHashes]) -> None:
        """Go on after so many rows; raises CorruptError if a shard is not what was written."""
        self.rows, self._finished = rows, dict(hashes)
        if rows % SHARD_TOKENS:
            self._name = shard_name(self.array, rows // SHARD_TOKENS)
            expected = self._finished.pop(self._name)
            self._open = HashedFile(self._folder / self._name, expected.bytes)
            if self._open.hashes() != expected:
                raise CorruptError(f"{self._folder / self._name} is not what was written")
        for name, expected in self._finished.items():  # their content is checked when it is read
            check_size(self._folder / name, expected, "it is written again")

    def sync(self) -> None:
        if self._open:
            self._open.sync()

    def close(self) -> None:
        if self._open:
            self._open.close()
            self._open = None


class SplitStoreWriter:
    """Writes one split's store into a folder; every method raises OSError where the disk is full."""

    def __init__(self, folder: Path, arrays: Sequence[StoredArray], origin: StoreOrigin) -> None:
        self.folder, self.origin = folder, origin
        # A pass may have been killed after this, and before its checkpoint or results.
        (folder / DESCRIPTION).unlink(missing_ok=True)
        self._arrays = {array.name: _ArrayWriter(folder, array) for array in arrays}

    @property
    def arrays(self) -> list[StoredArray]:
        """What is stored."""
        return [writer.array for writer in self._arrays.values()]

    @property
    def tokens(self) -> int:
        """Tokens written so far."""
        return max((writer.rows for writer in self._arrays.values()), default=0)

    def has(self, array: StoredArray) -> bool:
        """Whether the array is written."""
        return array.name in self._arrays

    def append(self, array: StoredArray, rows: UInt8[np.ndarray, "token byte"]) -> None:
        """Add tokens to an array."""
        self._arrays[array.name].append(rows)

    def drop(self, array: StoredArray) -> None:
        """Leave an array out, and delete what was written of it."""
        self._arrays.pop(array.name).close()
        shutil.rmtree(self.folder / array.name, ignore_errors=True)

    def checkpoint(self) -> dict[str, Any]:
        """What `resume` needs; the rows up to here are on the disk."""
        for writer in self._arrays.values():
            writer.sync()
        return {
            "rows": {name: writer.rows for name, writer in self._arrays.items()},
            "files": files_to_json(self._hashes()),
        }

    def resume(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint; raises CorruptError if a file is not what was written."""
        try:
            hashes = files_from_json(saved["files"])
            for array in self.arrays:
                if array.name not in saved["rows"]:  # it was left out on the way
                    self.drop(array)
            for name, writer in self._arrays.items():
                own = {k: v for k, v in hashes.items() if k.startswith(f"{name}/")}
                writer.resume(int(saved["rows"][name]), own)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CorruptError(f"{self.folder} cannot be continued ({error})") from error

    def finish(self) -> None:
        """Write the description, with which the store begins to count."""
        files = self._hashes()
        rows = {writer.rows for writer in self._arrays.values()}
        assert len(rows) <= 1  # every array has all tokens
        self.close()
        description = {
            "format": FORMAT,
            "origin": asdict(self.origin),
            "tokens": rows.pop() if rows else 0,
            "shard_tokens": SHARD_TOKENS,
            "arrays": [array.to_json() for array in self.arrays],
            "files": files_to_json(files),
        }
        write_sealed(self.folder / DESCRIPTION, description)

    def close(self) -> None:
        """Close the files; what was written stays for `resume`."""
        for writer in self._arrays.values():
            writer.close()

    def discard(self) -> None:
        """Delete everything that was written."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _hashes(self) -> dict[str, FileHashes]:
        return {k: v for writer in self._arrays.values() for k, v in writer.hashes().items()}
