"""Documents go to explore, select or holdout by a salted hash; near-duplicates go together.

1. A document's hash is sha256(salt, NUL, normalized text) read as a fraction of one: below 0.5 it
   goes to explore, below 0.7 to select, else to holdout. Only the text, the salt and the shares
   matter.
2. MinHash (Broder 1997) over the word 5-shingles: 128 hashes in 16 bands of 8. Documents that agree
   on any band are in one group: nearly always at a Jaccard similarity of 0.9 (99.99 %), mostly at
   0.8 (95 %), rarely at 0.5 (6 %). Bands are joined without a further check, so that the groups do
   not depend on the documents' order.
3. A group goes where its member with the smallest hash would go.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Int

from ..errors import UsageError

Split = Literal["explore", "select", "holdout"]
SPLITS: tuple[Split, ...] = ("explore", "select", "holdout")
SHARES = (50, 20, 30)
SALT = "hubel-1"
SHINGLE = 5
BANDS, ROWS = 16, 8


def normalize_text(text: str) -> str:
    """The text that identifies a document: case folded, whitespace collapsed."""
    return " ".join(text.casefold().split())


def split_hash(text: str, salt: str = SALT) -> int:
    """The document's hash, a number from 0 up to 2**64; its share of 2**64 decides the split."""
    digest = hashlib.sha256(
        f"{salt}\0{normalize_text(text)}".encode("utf-8", "surrogatepass")
    ).digest()
    return int.from_bytes(digest[:8], "big")


def split_of_hash(hash_: int, shares: tuple[int, int, int] = SHARES) -> Split:
    """The split of a document's hash, by cumulative shares in percent."""
    if sum(shares) != 100 or min(shares) < 0:
        raise UsageError(
            f"shares {shares!r} given; expected three percentages, none negative, that sum to 100"
        )
    # Whole numbers, so that no rounding of a fraction can move a document.
    explore, select, _ = shares
    if hash_ * 100 < explore << 64:
        return "explore"
    return "select" if hash_ * 100 < (explore + select) << 64 else "holdout"


def split_of(text: str, salt: str = SALT, shares: tuple[int, int, int] = SHARES) -> Split:
    """The split of a document without near-duplicates."""
    return split_of_hash(split_hash(text, salt), shares)


@dataclass
class DuplicateGroups:
    """Collects documents, then gives the group and the split of each; about 300 bytes per document."""

    salt: str = SALT
    shares: tuple[int, int, int] = SHARES
    _hashes: list[int] = field(default_factory=list)
    _bands: list[Int[np.ndarray, " band"]] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Take the next document."""
        self._hashes.append(split_hash(text, self.salt))
        self._bands.append(minhash_bands(text))

    def groups(self) -> list[int]:
        """For each document, the first document of its group."""
        parents = list(range(len(self._hashes)))
        first: dict[tuple[int, int], int] = {}
        for document, bands in enumerate(self._bands):
            for band, value in enumerate(bands.tolist()):
                _join(parents, document, first.setdefault((band, value), document))
        return [_root(parents, document) for document in range(len(parents))]

    def splits(self) -> list[Split]:
        """For each document, its split."""
        groups = self.groups()
        smallest: dict[int, int] = {}
        for group, hash_ in zip(groups, self._hashes, strict=True):
            smallest[group] = min(hash_, smallest.get(group, hash_))
        return [split_of_hash(smallest[group], self.shares) for group in groups]


def minhash_bands(text: str) -> Int[np.ndarray, " band"]:
    """One number for each band of the document's MinHash signature."""
    hashes = np.fromiter(_shingles(text), np.uint64)
    signature = np.full(BANDS * ROWS, 2**64 - 1, np.uint64)
    for chunk in np.array_split(hashes, len(hashes) // 4096 + 1):  # bounds the table below to 4 MB
        np.minimum(
            signature,
            (chunk[:, None] * _FACTORS + _OFFSETS).min(axis=0, initial=2**64 - 1),
            out=signature,
        )
    return (signature.reshape(BANDS, ROWS) * _MIXERS).sum(axis=1, dtype=np.uint64)


def _shingles(text: str) -> Iterable[int]:
    words = normalize_text(text).split()
    if len(words) < SHINGLE:
        return [_hash(words)]
    return {_hash(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def _hash(words: list[str]) -> int:
    text = " ".join(words).encode("utf-8", "surrogatepass")
    return zlib.crc32(text) << 32 | zlib.adler32(text)


def _odd_numbers(n: int, seed: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64) | np.uint64(1)


_FACTORS, _OFFSETS = _odd_numbers(BANDS * ROWS, 1), _odd_numbers(BANDS * ROWS, 2)
_MIXERS = _odd_numbers(ROWS, 3)


def _root(parents: list[int], at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


def _join(parents: list[int], a: int, b: int) -> None:
    a, b = _root(parents, a), _root(parents, b)
    parents[max(a, b)] = min(a, b)
