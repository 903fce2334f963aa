"""Texts as planted units see them: token ids traced back to their place in a document, or a text of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ...corpus import Contexts, Document, make_contexts
from ..subject import Subject
from .match_text import TokenizedText, activation_by_part
from .suite import PlantedPart

KEPT = 1 << 15
"""Matches of a unit in a document, or in a text of its own, that are kept: all of a hundred units on 300 documents."""


class ContextPlace(NamedTuple):
    """Where a context stands: its row among all contexts, its document, and its first token there."""

    row: int
    document: int
    start: int


class CorpusTexts:
    """The documents of a corpus, cut as the index cuts them."""

    def __init__(
        self,
        subject: Subject,
        documents: Iterable[Document],
        context_len: int = 64,
        max_tokens: int | None = None,
    ) -> None:
        self._subject, self.context_len = subject, context_len
        self._texts: list[str] = []

        def kept() -> Iterator[Document]:
            for document in documents:
                if document.text and subject.tokenize(document.text).ids:
                    self._texts.append(document.text)
                    yield document

        self.contexts: Contexts = make_contexts(
            kept(), lambda text: subject.tokenize(text).ids, context_len, max_tokens
        )
        self._places: dict[bytes, ContextPlace] = {}
        first: dict[int, int] = {}
        for row, (key, document) in enumerate(
            zip(self.keys(self.contexts.tokens), self.contexts.document.tolist(), strict=True)
        ):
            start = (row - first.setdefault(document, row)) * context_len
            self._places.setdefault(key, ContextPlace(row, document, start))
        self._of_document = lru_cache(KEPT)(self._document)
        self._of_text = lru_cache(KEPT)(self._text)
        self._passage_of = lru_cache(KEPT)(self._passage)

    def keys(self, ids: Int[np.ndarray, "text seq"]) -> list[bytes]:
        """Each text's identity: its tokens without the padding behind them."""
        rows = np.ascontiguousarray(ids, np.int32)
        real = rows != 0
        lengths = np.where(real.any(axis=1), rows.shape[1] - np.argmax(real[:, ::-1], axis=1), 0)
        return [row[:length].tobytes() for row, length in zip(rows, lengths.tolist(), strict=True)]

    def place(self, key: bytes) -> ContextPlace | None:
        """Where in the corpus a text stands, if it is one of its contexts."""
        return self._places.get(key)

    def activations(
        self, parts: Sequence[PlantedPart], ids: Int[np.ndarray, "text seq"]
    ) -> Float[np.ndarray, "part text seq"]:
        """What parts give each token, noiseless; 0 behind a text's end."""
        found = np.zeros((len(parts), *ids.shape), np.float32)
        for number, key in enumerate(self.keys(ids)):
            values = self._of_key(tuple(parts), key)
            found[:, number, : values.shape[1]] = values
        return found

    def _of_key(
        self, parts: tuple[PlantedPart, ...], key: bytes
    ) -> Float[np.ndarray, "part token"]:
        place = self.place(key)
        if place is None:
            return self._of_text(parts, key)
        length = len(key) // np.dtype(np.int32).itemsize
        return self._of_document(parts, place.document)[:, place.start : place.start + length]

    def _document(
        self, parts: tuple[PlantedPart, ...], document: int
    ) -> Float[np.ndarray, "part token"]:
        return activation_by_part(parts, self._passage_of(document))

    def _text(self, parts: tuple[PlantedPart, ...], key: bytes) -> Float[np.ndarray, "part token"]:
        ids = np.frombuffer(key, np.int32)
        return activation_by_part(parts, decode_text(self._subject, ids.tolist()))

    def _passage(self, document: int) -> TokenizedText:
        text = self._texts[document]
        offsets = np.array(self._subject.tokenize(text).offsets, np.int64).reshape(-1, 2)
        return TokenizedText(text, offsets, self.context_len)


def decode_text(subject: Subject, ids: Sequence[int]) -> TokenizedText:
    """The text of some tokens, as one context: what the tokenizer decodes where it cuts that into the same tokens."""
    text = subject.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    again, offsets = subject.tokenize(text)
    if list(again) != list(ids):
        strings = subject.token_strings()
        pieces = [strings[i] for i in ids]
        ends = np.cumsum([len(piece) for piece in pieces])
        text, offsets = (
            "".join(pieces),
            np.stack([ends - [len(piece) for piece in pieces], ends], axis=1),
        )
    return TokenizedText(text, np.array(offsets, np.int64).reshape(-1, 2), max(len(ids), 1))
