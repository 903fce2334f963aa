"""Texts as the subject reads them: tokens, cut to its context, with a count of what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from ..subject import Subject

MAX_TOKENS = 1024
"""Of a text, unless a study says otherwise. What a longer one costs grows with its length squared."""


class ContextTexts(NamedTuple):
    """Token ids of texts.

    Attributes:
        ids: of each text, in order, at most as many as the context holds.
        n_cut: how many texts were longer, and were cut.
        limit: tokens that the context holds.
    """

    ids: list[list[int]]
    n_cut: int
    limit: int

    def note(self) -> str:
        """A sentence on what was cut; "" if nothing was."""
        if not self.n_cut:
            return ""
        return f"{self.n_cut} of {len(self.ids)} texts are longer than {self.limit} tokens and were cut"


def tokens_in_context(
    subject: Subject,
    texts: Sequence[str],
    keep: Literal["start", "end"] = "start",
    max_tokens: int = MAX_TOKENS,
) -> ContextTexts:
    """Tokenize texts, and cut those that are longer than the context.

    Args:
        keep: which end of a long text is read.

    Raises:
        UsageError: a text has no tokens.
    """
    limit = min(max_tokens, subject.context_length)
    ids: list[list[int]] = []
    n_cut = 0
    for number, text in enumerate(texts, 1):
        tokens = subject.tokenize(text).ids
        if not tokens:
            raise UsageError(f"text {number} has no tokens: {text[:40]!r}; leave it out")
        n_cut += len(tokens) > limit
        ids.append(tokens[:limit] if keep == "start" else tokens[-limit:])
    return ContextTexts(ids, n_cut, limit)
