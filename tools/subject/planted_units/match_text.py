"""What a planted unit does on a text: pattern matches on characters become activations of tokens.

1. Matches are leftmost and non-overlapping on the whole text; of a match with a group 1 only that
   group counts.
2. A token is active if it shares a visible character with the match.
3. A condition of a part (`repeated`, `positions`) applies to the whole match, at the position of
   its first active token.
4. `hold` keeps the tokens after the last active one active, up to the end of its context.
5. A part gives each active token its strength, once; the parts of a unit add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from .suite import PlantedPart, SuiteUnit


@dataclass(frozen=True)
class TextWithOffsets:
    """A text and its tokens.

    Attributes:
        offsets: characters of `text` that each token covers, in order.
        context_len: tokens per context; contexts follow one another from the first token on.
    """

    text: str
    offsets: Int[np.ndarray, "token 2"]
    context_len: int

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def _visible_before(self) -> Int[np.ndarray, " boundary"]:
        """Number of visible (non-space) characters before each place of the text."""
        visible = [not character.isspace() for character in self.text]
        return np.concatenate([[0], np.cumsum(visible, dtype=np.int64)])

    def tokens_of(self, start: int, end: int) -> Int[np.ndarray, " token"]:
        """Tokens that share a visible character with the text from start to end."""
        starts, ends = self.offsets[:, 0], self.offsets[:, 1]
        # Both columns are sorted, even where several tokens share one character's offsets.
        low = np.searchsorted(ends, start, side="right")
        high = np.searchsorted(starts, end, side="left")
        nearby = np.arange(low, max(low, high))
        before = self._visible_before
        shared = before[np.minimum(ends[nearby], end)] - before[np.maximum(starts[nearby], start)]
        return nearby[shared > 0]

    def context_end(self, token: int) -> int:
        """The first token after a token's context."""
        return min((token // self.context_len + 1) * self.context_len, len(self))


def activation(unit: SuiteUnit, text: TextWithOffsets) -> Float[np.ndarray, " token"]:
    """A planted unit's activation at each token, without noise."""
    return activation_by_part(unit.parts, text).sum(axis=0)


def activation_by_part(
    parts: Sequence[PlantedPart], text: TextWithOffsets
) -> Float[np.ndarray, "part token"]:
    """The parts' activations at each token, without noise."""
    rows = [active_tokens(part, text) * np.float32(part.activation) for part in parts]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, len(text)), np.float32)


def active_tokens(part: PlantedPart, text: TextWithOffsets) -> Bool[np.ndarray, " token"]:
    """The tokens on which a part fires."""
    active = np.zeros(len(text), dtype=bool)
    for tokens in _matches(part, text):
        last = int(tokens[-1])
        active[tokens] = True
        active[last : min(last + 1 + part.hold, text.context_end(last))] = True
    return active


def _matches(part: PlantedPart, text: TextWithOffsets) -> Iterator[Int[np.ndarray, " token"]]:
    """The active tokens of each match that meets the part's conditions."""
    seen: set[tuple[int, str]] = set()
    for match in part.pattern.finditer(text.text):
        # 1. A group 1 that took no part in the match leaves the whole of it.
        start, end = match.span(1) if match.re.groups and match.start(1) >= 0 else match.span()
        tokens = text.tokens_of(start, end)
        if not len(tokens):
            continue
        # 3. A repeated match has the same text as an earlier one of its context.
        context, position = divmod(int(tokens[0]), text.context_len)
        key = (context, text.text[start:end])
        is_repeated = key in seen
        seen.add(key)
        in_range = part.positions is None or part.positions[0] <= position <= part.positions[1]
        if in_range and (is_repeated or not part.repeated):
            yield tokens
