"""The tokens on which concepts are evaluated, with what several concepts share computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..annotation import english_problem
from ..errors import UnavailableError, UsageError
from .lexicon import Lexicon

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from ..annotation import Annotations

T = TypeVar("T")


class TextView:
    """Contexts of tokens, right-padded, with ``length`` real tokens in each row.

    A concept at position p looks only at positions 0..p of its row; those over annotations may look
    at the whole row, since a tagger does.
    """

    def __init__(
        self,
        tokens: Int[np.ndarray, "contexts seq"],
        length: Int[np.ndarray, "contexts"],
        lexicon: Lexicon,
    ) -> None:
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or len(length) != len(tokens):
            raise UsageError(
                f"tokens must be contexts x positions with a length each; got {tokens.shape}"
            )
        if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(lexicon):
            raise UsageError(
                f"token ids {tokens.min()}..{tokens.max()} are outside a vocabulary of {len(lexicon)}"
            )
        self.tokens = tokens
        self.length = np.asarray(length).astype(np.int64)
        self.lexicon = lexicon
        self._memo: dict[object, object] = {}
        self._whole: tuple[TextView, Int[np.ndarray, " chosen"]] | None = None

    def take(self, rows: Int[np.ndarray, " chosen"]) -> TextView:
        """Some of the contexts, with the annotations that they have in the whole text."""
        taken = TextView(self.tokens[rows], self.length[rows], self.lexicon)
        taken._whole = self, rows
        return taken

    @cached_property
    def annotations(self) -> Annotations:
        """What the lexicon's tagger says about each word.

        Raises:
            UnavailableError: words cannot be tagged here.
        """
        if self._whole is not None:
            text, rows = self._whole
            return text.annotations.take(rows)
        if self.lexicon.annotator is None:
            raise UnavailableError("this vocabulary has no tagger, so words cannot be tagged")
        return self.lexicon.annotator.annotate(self.tokens, self.length)

    @cached_property
    def annotation_problem(self) -> str:
        """Why a search over this text leaves out the concepts over annotations; "" if it does not."""
        if self.lexicon.annotator is None:
            return "this vocabulary has no tagger"
        if problem := english_problem(self.lexicon.strings, self.tokens, self.length):
            return problem
        try:
            return "" if len(self.annotations) else "the text has no words"
        except UnavailableError as error:
            return str(error)

    def memo(self, key: object, make: Callable[[], T]) -> T:
        """``make()``, called once per key."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]  # type: ignore[return-value]

    @cached_property
    def real(self) -> Bool[np.ndarray, "contexts seq"]:
        """Everything but padding (position 0 included)."""
        return np.arange(self.tokens.shape[1]) < self.length[:, None]

    @cached_property
    def _distinct(self) -> tuple[Int[np.ndarray, "types"], Int[np.ndarray, "contexts seq"]]:
        types, index = np.unique(self.tokens, return_inverse=True)
        return types, index.reshape(self.tokens.shape)

    @property
    def types(self) -> Int[np.ndarray, "types"]:
        """The distinct tokens of this text, sorted."""
        return self._distinct[0]

    @property
    def type_index(self) -> Int[np.ndarray, "contexts seq"]:
        """Index into ``types`` of every position."""
        return self._distinct[1]

    def at_positions(self, of_type: Bool[np.ndarray, "types"]) -> Bool[np.ndarray, "contexts seq"]:
        """A property of token types, at every real position."""
        return of_type[self.type_index] & self.real


def shift_right(
    mask: Bool[np.ndarray, "contexts seq"], by: int
) -> Bool[np.ndarray, "contexts seq"]:
    """``mask`` moved ``by`` positions to the right."""
    moved = np.zeros_like(mask)
    moved[:, by:] = mask[:, : mask.shape[1] - by]
    return moved
