"""Who makes the annotations of a text: spaCy, whose answers are kept by content.

1. A text's key is a hash of the tagger's version, the vocabulary's strings, and the tokens.
2. Annotations with that key come from memory, else from the cache on disk, where a damaged file is
   made again.
3. Otherwise spaCy reads the text of each context, and every token gets the annotation of the word
   that it lies in. Contexts are independent: in any company each gets the same annotation.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import CorruptError, UnavailableError
from ..files import cache_dir, locked
from .alignment import ContextText, align, context_text
from .annotations import Annotations
from .model_files import load_tagger, tagger_version
from .stored import load_annotations, save_annotations
from .words import word_table

if TYPE_CHECKING:
    from jaxtyping import Int

FORMAT = 2
"""Raise it when a layer changes, so that what is cached is made again."""
AT_ONCE = 256
"""Contexts in one batch; 64 and 1000 take the same time."""
SLOW_TOKENS = 4000
"""From here on tagging takes more than half a second: it is announced, and kept on disk."""
TOKENS_PER_S = 7000
IN_MEMORY = 16
"""Texts; of those, instruments' are small and splits have 5 MB."""


class Annotator(Protocol):
    """Makes the annotations of a text."""

    def annotate(
        self, tokens: Int[np.ndarray, "contexts seq"], length: Int[np.ndarray, " contexts"]
    ) -> Annotations:
        """The annotations of contexts of ``length`` tokens; raises UnavailableError if it cannot."""
        ...


class SpacyAnnotator:
    """Tags with spaCy's small English model. Safe to share by threads.

    Args:
        strings: of every token of the vocabulary.
        say: told when a long text has to be tagged.
    """

    def __init__(
        self, strings: Sequence[str], say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._strings = strings
        self._say = say
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, Annotations] = OrderedDict()

    def annotate(
        self, tokens: Int[np.ndarray, "contexts seq"], length: Int[np.ndarray, " contexts"]
    ) -> Annotations:
        """The annotations of contexts; raises UnavailableError if they cannot be made here."""
        key = text_key(f"{tagger_version()} {FORMAT} {self._vocabulary}", tokens, length)
        with self._lock:
            if key not in self._recent:
                self._recent[key] = self._find(key, tokens, length)
                if len(self._recent) > IN_MEMORY:
                    self._recent.popitem(last=False)
            self._recent.move_to_end(key)
            return self._recent[key]

    @cached_property
    def _vocabulary(self) -> str:
        return hashlib.sha256("\0".join(self._strings).encode("utf-8", "surrogatepass")).hexdigest()

    def _find(self, key: str, tokens: np.ndarray, length: np.ndarray) -> Annotations:
        n_tokens = int(np.sum(length))
        if n_tokens < SLOW_TOKENS:
            return self._tag(tokens, length)
        path = cached_path(key)
        if path.exists():
            with suppress(CorruptError):
                return load_annotations(path)
        with locked(path):
            if path.exists():  # another process has made it meanwhile
                with suppress(CorruptError):
                    return load_annotations(path)
            seconds = 2 + n_tokens / TOKENS_PER_S
            self._say(
                f"tagging the words of {n_tokens:,} tokens, about {seconds:.0f} s; kept for next time"
            )
            annotations = self._tag(tokens, length)
            with suppress(UnavailableError):  # a full disk costs the time again, nothing else
                save_annotations(annotations, path)
        return annotations

    def _tag(self, tokens: np.ndarray, length: np.ndarray) -> Annotations:
        pipeline = load_tagger(self._say)
        return tag_contexts(pipeline, self._strings, tokens, length)


def tag_contexts(
    pipeline: Any,
    strings: Sequence[str],
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, " contexts"],
) -> Annotations:
    """Tag each context, and align the words with its tokens.

    Args:
        pipeline: spaCy's `Language`.
    """
    contexts = list[ContextText]()
    for row, n in zip(np.asarray(tokens), length, strict=True):
        ids: list[int] = row[:n].tolist()
        contexts.append(context_text([strings[i] for i in ids]))
    documents = pipeline.pipe((context.text for context in contexts), batch_size=AT_ONCE)
    table = word_table(documents, pipeline.vocab.strings.__getitem__)
    word = np.full(np.shape(tokens), -1, dtype=np.int32)
    piece = np.full(np.shape(tokens), -1, dtype=np.int32)
    start = 0
    for row, (context, end) in enumerate(zip(contexts, table.ends, strict=True)):
        aligned = align(context, table.first[start:end], table.last[start:end])
        size = len(aligned.word)
        word[row, :size] = np.where(aligned.word >= 0, aligned.word + start, -1)
        piece[row, :size] = aligned.piece
        start = int(end)
    return Annotations(word, piece, table.previous, table.head, table.layers)


def text_key(
    made_with: str, tokens: Int[np.ndarray, "contexts seq"], length: Int[np.ndarray, " contexts"]
) -> str:
    """A hash of a text and of what its annotations are made with."""
    ids, sizes = np.asarray(tokens), np.asarray(length)
    digest = hashlib.sha256(f"{made_with} {ids.shape}".encode())
    digest.update(ids.astype("<i8").tobytes())
    digest.update(sizes.astype("<i8").tobytes())
    return digest.hexdigest()


def cached_path(key: str) -> Path:
    """The file in the cache for annotations with a key."""
    return cache_dir() / "annotations" / f"{key[:32]}.safetensors"
