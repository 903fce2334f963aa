"""Names and description of a store's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Shaped, UInt8

from ...corpus import Split

FORMAT = 1
STORE = "store"
"""The folder of the stores within an index, one folder per split in it."""
DESCRIPTION = "store.json"
ENTRIES = ("format", "origin", "tokens", "shard_tokens", "arrays", "files")
"""Of the description."""
WORK = "work"
"""The folder next to those of the splits, until all of them are complete."""
SHARD_TOKENS = 1 << 16
"""Tokens a file: 75 MB for 576 float16 numbers each. A resumed pass hashes one file of each array
again."""

ArrayKind = Literal["mlp_in", "norm", "head", "stream", "loss"]
Encoding = Literal["float16", "float32", "int8"]


@dataclass(frozen=True)
class StoredArray:
    """An array with a row for each token; `layer` is None for `loss`."""

    kind: ArrayKind
    layer: int | None
    width: int
    encoding: Encoding

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.kind if self.layer is None else f"{self.kind}-{self.layer}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of a number; with "int8" that of a whole row, which has a scale (`encoding`)."""
        if self.encoding == "int8":
            return np.dtype([("values", np.int8, (self.width,)), ("scale", np.float32)])
        return np.dtype(self.encoding)

    @property
    def row_bytes(self) -> int:
        """Bytes a token."""
        return self.dtype.itemsize * (1 if self.encoding == "int8" else self.width)

    def rows(self, content: UInt8[np.ndarray, " byte"]) -> Shaped[np.ndarray, " token ..."]:
        """Bytes as rows: of numbers, or with "int8" of structures."""
        rows = content.view(self.dtype)
        return rows if self.encoding == "int8" else rows.reshape(-1, self.width)

    def to_json(self) -> dict[str, Any]:
        """For the description."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """What `to_json` gave; raises ValueError if an entry is missing or unknown."""
        check_entries(record, (field.name for field in fields(cls)))
        return cls(**record)


@dataclass(frozen=True)
class StoreOrigin:
    """What a store was made from; one of anything else is not used.

    Attributes:
        subject: the subject's revision.
        dtype: the number format in which the subject computed.
        corpus: SHA-256 of the corpus.
        contexts: SHA-256 of the index's contexts: the token ids, where they are cut, and their splits.
    """

    subject: str
    dtype: str
    corpus: str
    contexts: str
    split: Split

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """From the description; raises ValueError if an entry is missing or unknown."""
        check_entries(record, (field.name for field in fields(cls)))
        return cls(**record)

    def of(self, split: Split) -> StoreOrigin:
        """That of another split of the same index."""
        return replace(self, split=split)

    def differing(self, other: StoreOrigin) -> str:
        """The fields in which they differ, for a message; "" if they are equal."""
        ours, theirs = asdict(self), asdict(other)
        return ", ".join(name for name in ours if ours[name] != theirs[name])


def check_entries(record: Mapping[str, Any], expected: Iterable[str]) -> None:
    """Raise ValueError unless a record of a description has the expected entries, and no others."""
    names = set(expected)
    if missing := sorted(names - set(record)):
        raise ValueError(f"entries missing: {', '.join(missing)}")
    if unknown := sorted(set(record) - names):
        raise ValueError(f"unknown entries: {', '.join(unknown)}")


def store_folder(index: Path, split: Split) -> Path:
    """The folder of a split's store."""
    return index / STORE / split


def store_bytes(index: Path) -> int:
    """Bytes on disk of an index's stores."""
    return sum(path.stat().st_size for path in (index / STORE).rglob("*") if path.is_file())


def shard_name(array: StoredArray, number: int) -> str:
    """A shard's path within the store."""
    return f"{array.name}/{number:05d}.bin"
