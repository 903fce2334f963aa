"""Documents cut into contexts of a fixed length: what the subject reads, and what every statistic is over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ..errors import UsageError
from .document import Document
from .split import SALT, SHARES, SPLITS, Grouping, Split

PREVIEW = 80


class DocumentRow(NamedTuple):
    """What is kept of a document beside its tokens; `group` is the first document of its near-duplicates."""

    id: str
    split: Split
    group: int
    sha256: str
    n_tokens: int
    preview: str


@dataclass(frozen=True)
class Contexts:
    """Pieces of documents, one a row.

    Attributes:
        tokens: token ids, 0 behind the end of a document's last context.
        length: how many tokens are real.
        document: row of `documents`.
        split: 0 explore, 1 select, 2 holdout.
    """

    tokens: Int[np.ndarray, "context seq"]
    length: Int[np.ndarray, " context"]
    document: Int[np.ndarray, " context"]
    split: Int[np.ndarray, " context"]
    documents: tuple[DocumentRow, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def mask(self) -> Bool[np.ndarray, "context seq"]:
        """The tokens that count: real ones, without position 0."""
        position = np.arange(self.tokens.shape[1])
        return (position < self.length[:, None]) & (position > 0)

    @property
    def n_tokens(self) -> int:
        """All real tokens."""
        return int(self.length.sum(dtype=np.int64))

    def rows_of(self, split: Split) -> Int[np.ndarray, " context"]:
        """The contexts of a split, by row."""
        return np.flatnonzero(self.split == SPLITS.index(split)).astype(np.int32)


def make_contexts(
    documents: Iterable[Document],
    tokenize: Callable[[str], Sequence[int]],
    context_len: int = 64,
    max_tokens: int | None = None,
    salt: str = SALT,
    shares: tuple[int, int, int] = SHARES,
) -> Contexts:
    """Tokenize documents, cut them, and send each to its split.

    Args:
        tokenize: gives a raw text's token ids, with no beginning-of-sequence token.
        max_tokens: stop after so many tokens, within a document if need be.

    Raises:
        UsageError: a length below 2 (position 0 never counts), or no tokens at all.
    """
    if not 2 <= context_len < 2**16:
        raise UsageError(f"context length {context_len} given; expected 2 to 65535, as position 0 of each never counts")
    if max_tokens is not None and max_tokens < 2:
        raise UsageError(f"max_tokens={max_tokens} given; at least 2 are needed")
    grouping, pieces, kept, left = Grouping(salt, shares), [], [], max_tokens
    for document in documents:
        ids = np.asarray(tokenize(document.text)[:left], np.int32)
        if len(ids) == 0:
            continue
        grouping.add(document.text)
        kept.append((document.id, _sha256(document.text), len(ids), " ".join(document.text.split())[:PREVIEW]))
        pieces.append(ids)
        left = None if left is None else left - len(ids)
        if left == 0:
            break
    if not pieces:
        raise UsageError("the corpus has no tokens; give documents with text")
    return _cut(pieces, kept, grouping, context_len)


def _cut(
    pieces: list[Int[np.ndarray, " token"]],
    kept: list[tuple[str, str, int, str]],
    grouping: Grouping,
    context_len: int,
) -> Contexts:
    counts = np.array([-(-len(ids) // context_len) for ids in pieces])
    tokens = np.zeros((counts.sum(), context_len), np.int32)
    length = np.full(counts.sum(), context_len, np.uint16)
    ends = np.cumsum(counts)
    for ids, count, end in zip(pieces, counts, ends, strict=True):
        tokens[end - count : end].reshape(-1)[: len(ids)] = ids
        length[end - 1] = len(ids) - (count - 1) * context_len
    splits, groups = grouping.splits(), grouping.groups()
    rows = (
        DocumentRow(name, split, group, sha256, n, preview)
        for (name, sha256, n, preview), split, group in zip(kept, splits, groups, strict=True)
    )
    places = np.array([SPLITS.index(split) for split in splits], np.int8)
    document = np.repeat(np.arange(len(pieces), dtype=np.int32), counts)
    return Contexts(tokens, length, document, places[document], tuple(rows))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
