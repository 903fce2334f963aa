"""The annotations of a run's own texts, kept in its folder, so that it is read without a tagger."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnavailableError
from .annotations import Annotations
from .annotator import Annotator, SpacyAnnotator, text_key
from .stored import load_annotations, save_annotations

if TYPE_CHECKING:
    from jaxtyping import Int

PREFIX = "annotations-"
UNTAGGED = f"{PREFIX}none"
"""A file in place of those of a run whose texts could not be tagged, so that nobody tags them later."""


def store_annotations(
    annotator: Annotator | None,
    folder: Path,
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, " contexts"],
    layers: Collection[str],
) -> None:
    """Keep some layers of a text's annotations for a `StoredAnnotator`, or that there are none."""
    try:
        if annotator is None:
            raise UnavailableError("this vocabulary has no tagger")
        annotations = annotator.annotate(tokens, length)
    except UnavailableError as error:
        (folder / UNTAGGED).write_text(f"{error}\n", encoding="utf-8")
    else:
        save_annotations(annotations, _path(folder, tokens, length), layers)


class StoredAnnotator:
    """Gives the annotations that were stored for a text; any other text is tagged by spaCy, if it is there.

    Args:
        folder: where `store_annotations` wrote them.
        strings: of every token of the vocabulary.
    """

    def __init__(self, folder: Path, strings: Sequence[str]) -> None:
        self._folder = folder
        self._spacy = SpacyAnnotator(strings)
        self._lock = threading.Lock()
        self._loaded: dict[Path, Annotations] = {}

    def annotate(
        self, tokens: Int[np.ndarray, "contexts seq"], length: Int[np.ndarray, " contexts"]
    ) -> Annotations:
        """The annotations of contexts.

        Raises:
            UnavailableError: the text was not stored, and words cannot be tagged here.
            CorruptError: a stored file is damaged.
        """
        path = _path(self._folder, tokens, length)
        with self._lock:
            if path not in self._loaded and path.exists():
                self._loaded[path] = load_annotations(path)
            if path in self._loaded:
                return self._loaded[path]
        if (self._folder / UNTAGGED).exists():
            raise UnavailableError("the words of this run's texts could not be tagged when it ran")
        try:
            return self._spacy.annotate(tokens, length)
        except UnavailableError as error:
            raise UnavailableError(
                f"{self._folder} has no annotations of this text, and it cannot be tagged: {error}"
            ) from error


def _path(folder: Path, tokens: np.ndarray, length: np.ndarray) -> Path:
    return folder / f"{PREFIX}{text_key('', tokens, length)[:16]}.safetensors"
