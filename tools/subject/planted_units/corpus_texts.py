"""Texts as planted units see them: token ids traced back to their document, or taken by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ...corpus import Contexts, Document, make_contexts
from ..subject import Subject
from ..token_text import join_with_offsets
from .match_text import TextWithOffsets, activation_by_part
from .suite import PlantedPart

CACHED = 1 << 15
"""Matches of one unit in one document (or other text) to keep; enough for 100 units on 300 documents."""


class ContextPlace(NamedTuple):
    """A context's row among all contexts, its document, and its first token in that."""

    row: int
    document: int
    start: int


class CorpusTexts:
    """The documents of a corpus, cut into contexts as the index cuts them."""

    def __init__(
        self,
        subject: Subject,
        documents: Iterable[Document],
        context_len: int = 64,
        max_tokens: int | None = None,
    ) -> None:
        self._subject, self.context_len = subject, context_len
        self._texts: list[str] = []

        def non_empty() -> Iterator[Document]:
            for document in documents:
                if document.text and subject.tokenize(document.text).ids:
                    self._texts.append(document.text)
                    yield document

        self.contexts: Contexts = make_contexts(
            non_empty(), lambda text: subject.tokenize(text).ids, context_len, max_tokens
        )
        # Of contexts with the same tokens the first one counts.
        self._places: dict[bytes, ContextPlace] = {}
        first_row: dict[int, int] = {}
        keyed = zip(self.keys(self.contexts.tokens), self.contexts.document.tolist(), strict=True)
        for row, (key, document) in enumerate(keyed):
            start = (row - first_row.setdefault(document, row)) * context_len
            self._places.setdefault(key, ContextPlace(row, document, start))
        self._of_document = lru_cache(CACHED)(self._match_document)
        self._of_text = lru_cache(CACHED)(self._match_text)
        self._tokenized = lru_cache(CACHED)(self._tokenize_document)

    def keys(self, ids: Int[np.ndarray, "text seq"]) -> list[bytes]:
        """Each text's identity: its tokens without the padding after them."""
        rows = np.ascontiguousarray(ids, np.int32)
        real = rows != 0
        lengths = np.where(real.any(axis=1), rows.shape[1] - np.argmax(real[:, ::-1], axis=1), 0)
        return [row[:length].tobytes() for row, length in zip(rows, lengths.tolist(), strict=True)]

    def place(self, key: bytes) -> ContextPlace | None:
        """Where a text is in the corpus, if it is one of its contexts."""
        return self._places.get(key)

    def activations(
        self, parts: Sequence[PlantedPart], ids: Int[np.ndarray, "text seq"]
    ) -> Float[np.ndarray, "part text seq"]:
        """The parts' activations at each token, without noise; 0 after a text's end."""
        activations = np.zeros((len(parts), *ids.shape), np.float32)
        for row, key in enumerate(self.keys(ids)):
            values = self._of_key(tuple(parts), key)
            activations[:, row, : values.shape[1]] = values
        return activations

    def _of_key(
        self, parts: tuple[PlantedPart, ...], key: bytes
    ) -> Float[np.ndarray, "part token"]:
        place = self.place(key)
        if place is None:
            return self._of_text(parts, key)
        # A context's matches come from its whole document, since they may cross its edges.
        stop = place.start + key_length(key)
        return self._of_document(parts, place.document)[:, place.start : stop]

    def _match_document(
        self, parts: tuple[PlantedPart, ...], document: int
    ) -> Float[np.ndarray, "part token"]:
        return activation_by_part(parts, self._tokenized(document))

    def _match_text(
        self, parts: tuple[PlantedPart, ...], key: bytes
    ) -> Float[np.ndarray, "part token"]:
        ids = np.frombuffer(key, np.int32).tolist()
        return activation_by_part(parts, decode_text(self._subject, ids))

    def _tokenize_document(self, document: int) -> TextWithOffsets:
        text = self._texts[document]
        offsets = np.array(self._subject.tokenize(text).offsets, np.int64).reshape(-1, 2)
        return TextWithOffsets(text, offsets, self.context_len)


def key_length(key: bytes) -> int:
    """Number of tokens in a text's key."""
    return len(key) // np.dtype(np.int32).itemsize


def decode_text(subject: Subject, ids: Sequence[int]) -> TextWithOffsets:
    """The text of some tokens, as one context.

    It is what the tokenizer decodes, unless that tokenizes differently; then it is the tokens'
    strings, joined.
    """
    text = subject.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    decoded_ids, offsets = subject.tokenize(text)
    if list(decoded_ids) != list(ids):
        strings = subject.token_strings()
        text, offsets = join_with_offsets([strings[i] for i in ids])
    return TextWithOffsets(text, np.array(offsets, np.int64).reshape(-1, 2), max(len(ids), 1))
