"""Baselines of exact tokens with fitted weights and no concept: what an explanation has to beat.

1. Tokens are ranked by S^2 / (N + shrink), where S is the sum of the centred signal over a token's N
   positions: what a ridge regression on that token alone explains. No position has two tokens, so
   that choosing one at a time is the same but for the constant (measured on 200 neurons: mean
   held-out r .0005 higher).
2. Their weights are those of a ridge regression on all of them with a free constant (`ridge`).
3. `fit_token_list` keeps these weights as they are; `ten_weighted_tokens` rounds them to grades, so
   that they are a predicate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .concepts.words import Token
from .lexicon import Lexicon
from .predicate import Predicate
from .ridge import FINE_SCALES, RIDGE, SHRINK, RidgeMoments, graded_predicate
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

TOKENS = 10
LISTED = 24
"""As many as the contract lets a formula list."""


@dataclass(frozen=True, eq=False)
class WeightedTokens:
    """Exact tokens with fitted weights, the one that explains most first."""

    tokens: Int[np.ndarray, " listed"]
    weights: Float[np.ndarray, " listed"]
    rest: float
    """Prediction for every other token."""

    def predict(self, tokens: Int[np.ndarray, "contexts seq"]) -> Float[np.ndarray, "contexts seq"]:
        """Predicted activation of every token."""
        size = max(int(tokens.max(initial=0)), int(self.tokens.max(initial=0))) + 1
        by_token = np.full(size, self.rest)
        by_token[self.tokens] += self.weights
        return by_token[tokens]


def fit_token_list(
    tokens: Int[np.ndarray, "contexts seq"],
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    count: int = LISTED,
) -> WeightedTokens:
    """The tokens that explain most of a signal alone, with the ridge weights of all together.

    Args:
        mask: tokens that count; without any, the list is empty.
    """
    flat, values = tokens[mask], signal[mask].astype(np.float64)
    if not len(values):
        return WeightedTokens(np.zeros(0, np.int64), np.zeros(0), 0.0)
    counts = np.bincount(flat)
    sums = np.bincount(flat, values)
    chosen = strongest_tokens(sums - values.mean() * counts, counts, count)
    n, s = counts[chosen].astype(np.float64), sums[chosen]
    # Each weight is (S - rest N) / (N + ridge): columns without a common position leave one equation.
    kept = n / (n + RIDGE)
    rest = (values.sum() - kept @ s) / (len(values) - kept @ n)
    return WeightedTokens(chosen, (s - rest * n) / (n + RIDGE), float(rest))


def strongest_tokens(
    sums: Float[np.ndarray, " types"], counts: Int[np.ndarray, " types"], count: int
) -> Int[np.ndarray, " chosen"]:
    """Up to ``count`` indices with the largest S^2 / (N + shrink) above 0, the first of equals."""
    gain = sums**2 / (counts + SHRINK)
    best = np.argsort(-gain, kind="stable")[:count]
    return best[gain[best] > 0]


def ten_weighted_tokens(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
) -> Predicate:
    """The ten tokens that explain most, with weights rounded to grades, strongest first."""
    text = TextView(tokens, length, lexicon)
    keep = np.asarray(mask, dtype=bool) & text.real
    keep[:, 0] = False
    values = np.asarray(signal, dtype=np.float64)[keep]
    mean = float(values.mean()) if len(values) else 0.0
    centred = values - mean
    types = text.type_index[keep]
    counts = np.bincount(types, minlength=len(text.types))
    sums = np.bincount(types, centred, minlength=len(text.types))
    strings = [lexicon.strings[token] for token in text.types]
    best = [i for i in strongest_tokens(sums, counts, TOKENS) if strings[i]]
    moments = RidgeMoments.start(centred, np.zeros(len(values), int), 1)
    for i in best:
        moments = moments.added((types == i).astype(np.float64))
    return graded_predicate([Token(strings[i]) for i in best], moments, mean, FINE_SCALES)
