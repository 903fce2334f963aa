"""Two texts aligned token by token, as a diff aligns lines.

1. `difflib` finds runs of tokens that are the same in both; what is between two runs is a
   substitution.
2. Tokens of a substitution are paired from its end, since a causal model knows a word only at its
   last piece: " Mon" "day" for " Tuesday" pairs "day" with " Tuesday" and leaves " Mon" alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple


class Stretch(NamedTuple):
    """Tokens of a text and the corresponding ones of another: the `same`, or a substitution."""

    start: int
    end: int
    other_start: int
    other_end: int
    same: bool

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Positions that correspond, paired from the end."""
        n = min(self.end - self.start, self.other_end - self.other_start)
        return [(self.end - n + i, self.other_end - n + i) for i in range(n)]


def align_tokens(text: Sequence[int], other: Sequence[int]) -> list[Stretch]:
    """The stretches of two token sequences, in order; together they cover both."""
    codes = SequenceMatcher(None, text, other, autojunk=False).get_opcodes()
    return [Stretch(a, b, c, d, kind == "equal") for kind, a, b, c, d in codes]


def aligned_positions(text: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """All positions that correspond."""
    return [pair for stretch in align_tokens(text, other) for pair in stretch.pairs]
