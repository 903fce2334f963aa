"""The collected activations of a run's targets, one safetensors file per split and part of the targets.

    activations   float16  (target, context, position), raw; 0 after a context's end
    tokens        int32    (context, position)
    length, document, group, context   int32  (context); `context` is the number within the index's
                  split, `group` that of the first of the document's near-duplicates

The header's metadata names the targets in order. Opening reads the header; a target's activations
are read on demand.

A run over many targets collects one part of them after another. The first part's file is named after
the split alone, `explore.safetensors`; the others are `explore-1.safetensors` and so on, each of the
same text. They are opened when a target is looked for that none of the open ones has, so that a file
may be added while others are read.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open

from ..errors import ArgumentError, CorruptError, UsageError
from ..subject.address import Unit
from .float16_range import require_finite


def part_name(split: str, part: int) -> str:
    """The name of the file with a split's activations of one part of the targets, from 0."""
    return f"{split}-{part}.safetensors" if part else f"{split}.safetensors"


class _Part:
    """One file, open for reading."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise CorruptError(
                f"no collected activations at {path}; resume the run, which collects them again"
            )
        try:
            self.path = path
            self.file: Any = safe_open(path, framework="numpy")
            self.metadata: dict[str, Any] = json.loads(self.file.metadata()["collected"])
            self._rows = _StoredRows.of(path)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                f"{path} is damaged ({error}); delete it and resume the run"
            ) from error
        self.rows = {target: row for row, target in enumerate(self.metadata["targets"])}

    def activations(self, row: int) -> Float[np.ndarray, "context seq"]:
        """One target's, float32; raises CorruptError if the file was cut short since it was opened."""
        stored = self._rows
        n = math.prod(stored.shape)
        start = stored.offset + row * n * stored.dtype.itemsize
        try:
            values = np.fromfile(self.path, stored.dtype, n, offset=start)
        except OSError as error:
            raise CorruptError(
                f"{self.path} cannot be read ({error.strerror}); resume the run, which collects it again"
            ) from error
        if len(values) < n:
            raise CorruptError(f"{self.path} is cut short; delete it and resume the run")
        return values.reshape(stored.shape).astype(np.float32)


class _StoredRows(NamedTuple):
    """Where the activations are in a file. They are read from there and not through its memory map:
    pages that were read once would count as memory of this process, all targets' in the end."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> _StoredRows:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(length))["activations"]
        dtype = np.dtype(f"<f{int(entry['dtype'].removeprefix('F')) // 8}")
        return cls(8 + length + entry["data_offsets"][0], dtype, tuple(entry["shape"][1:]))


class Collected:
    """One split of one file; with `open`, of all parts of a run's targets."""

    def __init__(self, path: Path) -> None:
        self._first = _Part(path)
        self.metadata = self._first.metadata
        """What determines the content of the first part's file."""
        self._path = path
        self._parts = [self._first]
        self._has_parts = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path | str, split: Literal["explore", "select"]) -> Collected:
        """A split of the folder in which a run collects; for holdout see the module `holdout`."""
        if split not in ("explore", "select"):
            raise ArgumentError(
                f"split {split!r} given; explore and select can be read, "
                "holdout only by verification"
            )
        return cls.of_parts(Path(path), split)

    @classmethod
    def of_parts(cls, folder: Path, split: str) -> Collected:
        """All parts of a split; only `open` and the module `holdout` call this."""
        collected = cls(folder / part_name(split, 0))
        collected._has_parts = True
        return collected

    def __repr__(self) -> str:
        return f"Collected({str(self._path)!r}, {len(self.targets)} targets)"

    @property
    def targets(self) -> tuple[str, ...]:
        """The addresses of all targets that are collected so far."""
        return tuple(target for part in self._all() for target in part.rows)

    def __contains__(self, unit: Unit) -> bool:
        """Whether a unit was collected, whatever its side."""
        return self._find(str(unit.unsided)) is not None

    def file_of(self, unit: Unit) -> Path:
        """The file that has a unit's activations; the first one if none has."""
        found = self._find(str(unit.unsided))
        return found[0].path if found else self._path

    def _find(self, name: str) -> tuple[_Part, int] | None:
        """The part that has a target, and its row there."""
        return next(((part, part.rows[name]) for part in self._all() if name in part.rows), None)

    def _all(self) -> Iterator[_Part]:
        """The parts that are there, those that are open first."""
        number = 0
        while True:
            if number == len(self._parts) and not self._open_next(number):
                return
            yield self._parts[number]
            number += 1

    def _open_next(self, number: int) -> bool:
        """Open the part of a number unless it is open; returns whether there is one."""
        path = self._path.with_name(part_name(self._path.stem, number))
        with self._lock:
            if number == len(self._parts):
                if not self._has_parts or not path.exists():
                    return False
                self._parts.append(_Part(path))
            return True

    def activations(
        self, unit: Unit | str, *, finite: bool = True
    ) -> Float[np.ndarray, "context seq"]:
        """A target's raw activations, float32; the side of the address is ignored.

        Args:
            finite: refuse activations that float16 cannot hold, which are stored as infinite.

        Raises:
            UsageError: the unit was not collected, or float16 cannot hold its activations.
        """
        name = str((Unit.parse(unit) if isinstance(unit, str) else unit).unsided)
        found = self._find(name)
        if found is None:
            raise UsageError(f"{name!r} was not collected; the run has {len(self.targets)} targets")
        part, row = found
        activations = part.activations(row)
        if finite:
            require_finite(name, activations)
        return activations

    def signal(self, unit: Unit) -> Float[np.ndarray, "context seq"]:
        """What is explained of a target: its raw activations, or the part on the unit's side."""
        return unit.signal(self.activations(unit))

    @cached_property
    def tokens(self) -> Int[np.ndarray, "context seq"]:
        """Token ids, 0 after a context's end."""
        return self._first.file.get_tensor("tokens")

    @cached_property
    def length(self) -> Int[np.ndarray, " context"]:
        """Number of real tokens of each context."""
        return self._first.file.get_tensor("length")

    @cached_property
    def document(self) -> Int[np.ndarray, " context"]:
        """The document's number of each context."""
        return self._first.file.get_tensor("document")

    @cached_property
    def group(self) -> Int[np.ndarray, " context"]:
        """The group of near-duplicates of each context's document: what is independent of others.

        Files of older runs do not record it; then each document is a group.
        """
        names = self._first.file.keys()
        return self._first.file.get_tensor("group") if "group" in names else self.document

    @cached_property
    def context(self) -> Int[np.ndarray, " context"]:
        """The context's number within the split of the index."""
        return self._first.file.get_tensor("context")

    @cached_property
    def mask(self) -> Bool[np.ndarray, "context seq"]:
        """The tokens that count: real ones, but not position 0."""
        position = np.arange(self.tokens.shape[1])
        return (position < self.length[:, None]) & (position > 0)
