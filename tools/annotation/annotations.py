"""What a tagger says about each word of a text, in layers that are read by word or by token.

The tagger's words are not the subject's tokens: one may be several pieces, and a token may hold the
end of one word and the start of the next. Each token has the annotation of the word that its first
non-space character lies in. Layers of words:

    lemma             the word's dictionary form, in lower case
    pos, tag          part of speech; the finer tag
    tense, number, person, verb_form, degree, ...      features of its form (`names.FEATURES`)
    relation          to its head: subject, object, ...
    entity, entity_place, name     kind of name that it is in; first or later word of it; the whole
                      name, in lower case
    sentence_place    first or last word of a sentence
    clause            kind of the innermost clause that it is in
    conjunct          first or later item of a coordination
    previous_X, head_X     layer X of the word before, and of the word that it depends on

and one layer of tokens: `piece`, the token's place in its word (whole, first, inner, last).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

PIECES = ("whole", "first", "inner", "last")
PREVIOUS, HEAD = "previous_", "head_"
"""Before a layer's name: that layer of another word."""


class AnnotationLayer(NamedTuple):
    """Codes, which are indices into ``values``; -1 where nothing applies."""

    codes: Int[np.ndarray, "..."]
    values: tuple[str, ...]


class Annotations:
    """The words of some contexts, and the layers of words and tokens.

    Args:
        word: index of the word of each token; -1 where it has none (white space, padding).
        piece: codes into PIECES; -1 where there is no word.
        previous, head: index of the word before, and of the word it depends on; -1 if there is none.
        layers: those of words, with a code for each word.
    """

    def __init__(
        self,
        word: Int[np.ndarray, "contexts seq"],
        piece: Int[np.ndarray, "contexts seq"],
        previous: Int[np.ndarray, " words"],
        head: Int[np.ndarray, " words"],
        layers: Mapping[str, AnnotationLayer],
    ) -> None:
        self.word, self.piece = word, piece
        self.previous, self.head = previous, head
        self.layers = dict(layers)
        self._of_tokens: dict[str, AnnotationLayer] = {}

    def __len__(self) -> int:
        """The number of words."""
        return len(self.previous)

    def take(self, rows: Int[np.ndarray, " chosen"]) -> Annotations:
        """Those of some contexts."""
        return Annotations(self.word[rows], self.piece[rows], self.previous, self.head, self.layers)

    def of_words(self, name: str) -> AnnotationLayer:
        """A layer with one code for each word; raises UsageError for an unknown name."""
        for prefix, others in ((PREVIOUS, self.previous), (HEAD, self.head)):
            if name.startswith(prefix):
                layer = self.of_words(name.removeprefix(prefix))
                return AnnotationLayer(gather(layer.codes, others), layer.values)
        if name not in self.layers:
            raise UsageError(
                f"the text has no annotation {name!r}; it has {', '.join(sorted(self.layers))}"
            )
        return self.layers[name]

    def layer(self, name: str) -> AnnotationLayer:
        """A layer with one code for each token (contexts x seq); raises as `of_words` does."""
        if name == "piece":
            return AnnotationLayer(self.piece, PIECES)
        if name not in self._of_tokens:
            codes, values = self.of_words(name)
            self._of_tokens[name] = AnnotationLayer(gather(codes, self.word), values)
        return self._of_tokens[name]

    def at_tokens(self, holds: Bool[np.ndarray, " words"]) -> Bool[np.ndarray, "contexts seq"]:
        """A property of words, at every token of each."""
        return spread(holds, self.word)


def gather(codes: Int[np.ndarray, " words"], index: Int[np.ndarray, "..."]) -> np.ndarray:
    """Codes of the words at some indices, -1 where an index is -1."""
    return np.append(codes, np.int32(-1))[index].astype(np.int32)


def spread(holds: Bool[np.ndarray, " words"], index: Int[np.ndarray, "..."]) -> np.ndarray:
    """A property of the words at some indices, False where an index is -1."""
    return np.append(np.asarray(holds, dtype=bool), False)[index]
