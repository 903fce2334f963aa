"""Which word of a text each token belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ..subject.token_text import join_with_offsets
from .annotations import PIECES

_BYTE = re.compile("<0x[89A-F][0-9A-F]>")
WHOLE, FIRST, INNER, LAST = range(len(PIECES))


class ContextText(NamedTuple):
    """The text of one context as a tagger reads it.

    Attributes:
        start, end: span of each token's characters without the white space around them; both are
            equal for a token of white space only.
    """

    text: str
    start: Int[np.ndarray, " tokens"]
    end: Int[np.ndarray, " tokens"]


def context_text(strings: Sequence[str]) -> ContextText:
    """Join a context's tokens; bytes that are not a character become U+FFFD."""
    text, offsets = join_with_offsets(strings)
    if "<0x" in text:
        text = _BYTE.sub(lambda match: "\ufffd" * len(match[0]), text)
    # A tagger takes white space at the start of a text for a word.
    shift = len(text) - len(text.lstrip())
    start = np.zeros(len(offsets), dtype=np.int64)
    end = np.zeros(len(offsets), dtype=np.int64)
    for i, (first, last) in enumerate(offsets):
        piece = text[first:last]
        inside = piece.lstrip()
        start[i] = last - len(inside) - shift
        end[i] = start[i] + len(inside.rstrip())
    return ContextText(text[shift:], start, end)


class Alignment(NamedTuple):
    """Index of each token's word, -1 without one, and the token's place in it (codes of PIECES)."""

    word: Int[np.ndarray, " tokens"]
    piece: Int[np.ndarray, " tokens"]


def align(
    context: ContextText, first: Int[np.ndarray, " words"], last: Int[np.ndarray, " words"]
) -> Alignment:
    """Give each token the word that its first non-space character lies in.

    Args:
        first, last: start and end of each word's characters, in order and without overlap.
    """
    if not len(first):
        nothing = np.full(len(context.start), -1, dtype=np.int32)
        return Alignment(nothing, nothing)
    start, end = context.start, context.end
    # A character's word is the last one that starts at or before it, if that one reaches so far.
    word = np.searchsorted(first, start, side="right") - 1
    inside = (word >= 0) & (end > start) & (start < last[word])
    # Tokens that share one character, of which each has some bytes, are pieces of it.
    blank = -1 - np.arange(len(start))
    begins = (first[word] == start) & (np.diff(np.where(inside, start, blank), prepend=-1) != 0)
    ends = (last[word] <= end) & (np.diff(np.where(inside, end, blank), append=-1) != 0)
    piece = np.select([~inside, begins & ends, begins, ends], [-1, WHOLE, FIRST, LAST], INNER)
    return Alignment(np.where(inside, word, -1).astype(np.int32), piece.astype(np.int32))
