"""Documents go to explore, select or holdout by a salted hash; near-duplicates go together.

1. A document's hash is sha256(salt, NUL, normalized text) read as a fraction of one: below 0.5 it
   goes to explore, below 0.7 to select, else to holdout. Only the text, the salt and the shares
   matter.
2. Documents that repeat much of one another are in one group (`duplicates`).
3. A group goes where its member with the smallest hash would go.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Literal

from ..errors import UsageError
from .duplicates import NearDuplicates

Split = Literal["explore", "select", "holdout"]
SPLITS: tuple[Split, ...] = ("explore", "select", "holdout")
SHARES = (50, 20, 30)
SALT = "hubel-1"
RULE = "split2"
"""Part of the names of cached indexes: one that was split by an earlier rule is not taken for new."""


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


class DuplicateGroups:
    """Collects documents, then gives the group and the split of each."""

    def __init__(self, salt: str = SALT, shares: tuple[int, int, int] = SHARES) -> None:
        self._salt, self._shares = salt, shares
        self._hashes: list[int] = []
        self._duplicates = NearDuplicates()

    def add(self, text: str) -> None:
        """Take the next document."""
        self._hashes.append(split_hash(text, self._salt))
        self._duplicates.add(text)

    def close(self) -> None:
        """Give back temporary files, if the groups are never asked for."""
        self._duplicates.close()

    @cached_property
    def groups(self) -> list[int]:
        """For each document, the first document of its group."""
        return self._duplicates.groups()

    def splits(self) -> list[Split]:
        """For each document, the split of its group."""
        groups = self.groups
        smallest: dict[int, int] = {}
        for group, hash_ in zip(groups, self._hashes, strict=True):
            smallest[group] = min(hash_, smallest.get(group, hash_))
        return [split_of_hash(smallest[group], self._shares) for group in groups]
