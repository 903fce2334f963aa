"""What a planted unit does on a text: patterns matched on characters, turned into activations of
tokens.

1. Matches are leftmost and non-overlapping on the whole text; of a match with a group 1 only that
   group counts.
2. A token is active if it shares a character that is no space with the match.
3. A condition of a part (`repeated`, `positions`) is on the whole match, judged where its first
   active token stands.
4. `hold` keeps the tokens after the last active one active, up to the end of its context.
5. A part gives each active token its strength, once; parts of a unit add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from .suite import PlantedPart, SuiteUnit


@dataclass(frozen=True)
class TokenizedText:
    """A text and its tokens.

    Attributes:
        offsets: characters of `text` that each token covers, in order.
        context_len: tokens of a context; contexts follow one another from the first token on.
    """

    text: str
    offsets: Int[np.ndarray, "token 2"]
    context_len: int

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def _visible_before(self) -> Int[np.ndarray, " boundary"]:
        """How many characters that are no space stand before each place of the text."""
        visible = [not character.isspace() for character in self.text]
        return np.concatenate([[0], np.cumsum(visible, dtype=np.int64)])

    def tokens_of(self, start: int, end: int) -> Int[np.ndarray, " token"]:
        """Tokens that share a visible character with the text from start to end."""
        starts, ends = self.offsets[:, 0], self.offsets[:, 1]
        # A token of several characters that share offsets with its neighbours keeps both columns in
        # order.
        low, high = (
            np.searchsorted(ends, start, side="right"),
            np.searchsorted(starts, end, side="left"),
        )
        near = np.arange(low, max(low, high))
        counts = self._visible_before
        shared = counts[np.minimum(ends[near], end)] - counts[np.maximum(starts[near], start)]
        return near[shared > 0]

    def context_end(self, token: int) -> int:
        """The token behind the last one of a token's context."""
        return min((token // self.context_len + 1) * self.context_len, len(self))


def activation(unit: SuiteUnit, passage: TokenizedText) -> Float[np.ndarray, " token"]:
    """A planted unit's activation at each token, without noise."""
    return activation_by_part(unit.parts, passage).sum(axis=0)


def activation_by_part(
    parts: Sequence[PlantedPart], passage: TokenizedText
) -> Float[np.ndarray, "part token"]:
    """The same, part by part."""
    rows = [active_tokens(part, passage) * np.float32(part.activation) for part in parts]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, len(passage)), np.float32)


def active_tokens(part: PlantedPart, passage: TokenizedText) -> Bool[np.ndarray, " token"]:
    """The tokens on which a part fires."""
    found = np.zeros(len(passage), dtype=bool)
    for tokens in _matches(part, passage):
        last = int(tokens[-1])
        found[tokens] = True
        found[last : min(last + 1 + part.hold, passage.context_end(last))] = True
    return found


def _matches(part: PlantedPart, passage: TokenizedText) -> Iterator[Int[np.ndarray, " token"]]:
    """The active tokens of each match that meets the part's conditions."""
    seen: set[tuple[int, str]] = set()
    for match in part.pattern.finditer(passage.text):
        # A group 1 that took no part in the match leaves the whole of it.
        start, end = match.span(1) if match.re.groups and match.start(1) >= 0 else match.span()
        tokens = passage.tokens_of(start, end)
        if not len(tokens):
            continue
        context, position = divmod(int(tokens[0]), passage.context_len)
        key = (context, passage.text[start:end])
        again = key in seen
        seen.add(key)
        at_place = part.positions is None or part.positions[0] <= position <= part.positions[1]
        if at_place and (again or not part.repeated):
            yield tokens
