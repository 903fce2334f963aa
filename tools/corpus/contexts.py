"""Documents cut into contexts of a fixed length, which the subject reads and statistics are over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ..errors import UsageError
from .document import Document
from .split import SALT, SHARES, SPLITS, DuplicateGroups, Split

PREVIEW = 80
"""Characters of a document that are kept to recognise it by."""
IN_MEMORY = 1 << 26
"""Bytes of token ids, 16 million tokens; a larger corpus's go to a temporary file."""


class DocumentRow(NamedTuple):
    """What is kept of a document besides its tokens; `group` is its first near-duplicate's number."""

    id: str
    split: Split
    group: int
    sha256: str
    n_tokens: int
    preview: str


@dataclass(frozen=True)
class Contexts:
    """Pieces of documents, one in each row.

    Attributes:
        tokens: token ids, 0 after the end of a document's last context.
        length: number of real tokens.
        document: index into `documents`.
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
    """Tokenize documents, cut them into contexts, and assign each document to its split.

    Args:
        tokenize: gives a raw text's token ids, without a beginning-of-sequence token.
        max_tokens: stop after this many tokens, within a document if necessary.

    Raises:
        UsageError: a length below 2 (position 0 never counts), or no tokens at all.
    """
    if not 2 <= context_len < 2**16:
        raise UsageError(
            f"context length {context_len} given; "
            "expected 2 to 65535, as position 0 of each never counts"
        )
    if max_tokens is not None and max_tokens < 2:
        raise UsageError(f"max_tokens={max_tokens} given; at least 2 are needed")
    duplicates = DuplicateGroups(salt, shares)
    rows: list[tuple[str, str, int, str]] = []  # id, sha256, tokens, preview
    left = max_tokens
    with SpooledTemporaryFile(max_size=IN_MEMORY) as file, closing(duplicates):
        for document in documents:
            ids = np.asarray(tokenize(document.text)[:left], np.int32)
            if len(ids) == 0:
                continue
            duplicates.add(document.text)
            preview = " ".join(document.text.split())[:PREVIEW]
            rows.append((document.id, _sha256(document.text), len(ids), preview))
            padding = -len(ids) % context_len  # the last context is filled up with 0
            file.write(np.pad(ids, (0, padding)).tobytes())
            left = None if left is None else left - len(ids)
            if left == 0:
                break
        if not rows:
            raise UsageError("the corpus has no tokens; give documents with text")
        tokens = _read_contexts(file, context_len)
        splits = duplicates.splits()
    document_rows = tuple(
        DocumentRow(name, split, group, sha256, n_tokens, preview)
        for (name, sha256, n_tokens, preview), split, group in zip(
            rows, splits, duplicates.groups, strict=True
        )
    )
    length, document = _lengths([row.n_tokens for row in document_rows], context_len)
    split_numbers = np.array([SPLITS.index(split) for split in splits], np.int8)
    return Contexts(tokens, length, document, split_numbers[document], document_rows)


def _read_contexts(file: Any, context_len: int) -> Int[np.ndarray, "context seq"]:
    """All contexts; a large corpus's are mapped from a file without a name instead of read."""
    size = file.tell()
    file.seek(0)
    if size > IN_MEMORY:
        return np.memmap(file, np.int32, "r", shape=(size // 4 // context_len, context_len))
    return np.frombuffer(file.read(), np.int32).reshape(-1, context_len)


def _lengths(
    counts: Sequence[int], context_len: int
) -> tuple[Int[np.ndarray, " context"], Int[np.ndarray, " context"]]:
    """Number of real tokens, and document, of each context."""
    n_rows = -(-np.array(counts) // context_len)
    length = np.full(n_rows.sum(), context_len, np.uint16)
    length[np.cumsum(n_rows) - 1] = counts - (n_rows - 1) * context_len
    return length, np.repeat(np.arange(len(counts), dtype=np.int32), n_rows)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
