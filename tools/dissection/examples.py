"""Tokens that belong to a concept, and tokens that nearly do: raw material for texts that test an explanation.

1. Members that occur in a text, and members of the vocabulary that do not: a rule must hold for both.
2. Near misses: words that are no members but lie closest to the members' centroid; without vectors, others at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError
from .concepts import Concept, TokenClass

if TYPE_CHECKING:
    from .lexicon import Lexicon
    from .text import Text


class Examples(NamedTuple):
    """Token ids: members that the text has, members that it has not, and non-members close to them."""

    seen: tuple[int, ...]
    unseen: tuple[int, ...]
    near_misses: tuple[int, ...]


def token_class(concept: Concept) -> TokenClass:
    """The concept itself, or the first class of tokens inside it (``after(suffix("ing"))``: the suffix).

    Raises:
        UsageError: no class of tokens decides it, as with a position or a quotation.
    """
    if isinstance(concept, TokenClass):
        return concept
    for part in concept.parts():
        try:
            return token_class(part)
        except UsageError:
            continue
    raise UsageError(f"{concept.to_text()} is decided by no class of tokens, so it has no member tokens")


def examples(concept: Concept, text: Text, count: int = 8, seed: int = 0) -> Examples:
    """Up to ``count`` of each, drawn with ``seed``; near misses are the nearest words and not drawn."""
    lexicon, rng = text.lexicon, np.random.default_rng(seed)
    holds = token_class(concept).holds(lexicon, np.arange(len(lexicon)))
    here = np.zeros(len(lexicon), dtype=bool)
    here[text.tokens[text.real]] = True
    pools = (np.flatnonzero(holds & here), np.flatnonzero(holds & ~here))
    seen, unseen = (_some(pool, count, rng) for pool in pools)
    return Examples(seen, unseen, _near_misses(lexicon, holds, count, rng))


def _some(pool: np.ndarray, count: int, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(i) for i in np.sort(rng.choice(pool, min(count, len(pool)), replace=False)))


def _near_misses(lexicon: Lexicon, holds: np.ndarray, count: int, rng: np.random.Generator) -> tuple[int, ...]:
    if lexicon.vectors is None or not holds.any():
        return _some(np.flatnonzero(~holds & lexicon.lettered), count, rng)
    tokens = lexicon.token_of_word[lexicon.places]
    similar = lexicon.map @ lexicon.vectors[holds].mean(axis=0)
    order = tokens[np.argsort(-similar, kind="stable")]
    return tuple(int(i) for i in order[~holds[order]][:count])
