"""What is measured of one explanation on held-out text. Pearson r and shares, without intervals.

r          the whole formula
list       the 24 best tokens of explore with fitted weights, no concept
meaning    its named concepts alone, without any listed token
unseen     the formula on token types that explore never has
rare       the formula on token types that explore has at most twice
r3         the three terms of its headline alone
p50        share of the 50 strongest tokens at which one of these three terms of the right sign
           holds
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.correlation import pearson
from ...tools.dissection import Lexicon, Predicate, TextView
from ...tools.index import Collected
from ...tools.subject.address import Unit

LISTED = 24
RARE = 2
STRONGEST = 50
SHRINK = 5.0
"""Pseudo-tokens per weight, as in the search."""


@dataclass(frozen=True)
class HeldOutText:
    """Explore and holdout, with what all targets share."""

    explore: Collected
    holdout: Collected
    lexicon: Lexicon

    @cached_property
    def text(self) -> TextView:
        return TextView(self.holdout.tokens, self.holdout.length, self.lexicon)

    @cached_property
    def seen(self) -> Int[np.ndarray, " vocab"]:
        """How often explore has each token type, where it counts."""
        tokens = self.explore.tokens[self.explore.mask]
        return np.bincount(tokens, minlength=len(self.lexicon.strings))

    @cached_property
    def tokens(self) -> Int[np.ndarray, " token"]:
        """The held-out tokens that count."""
        return self.holdout.tokens[self.holdout.mask]

    def predicted(self, predicate: Predicate) -> Float[np.ndarray, " token"]:
        """What a formula predicts at them."""
        return predicate.predict_text(self.text)[self.holdout.mask].astype(np.float64)


def figures_of(text: HeldOutText, unit: Unit, predicate: Predicate) -> dict[str, float | None]:
    """All figures of a target's explanation."""
    true = text.holdout.signal(unit)[text.holdout.mask].astype(np.float64)
    predicted, meaning = text.predicted(predicate), predicate.meaning()
    seen = text.seen[text.tokens]
    return {
        "r": pearson(predicted, true),
        "list": pearson(list_prediction(text, unit), true),
        "meaning": pearson(text.predicted(meaning), true),
        "unseen": _r_at(seen == 0, predicted, true),
        "rare": _r_at(seen <= RARE, predicted, true),
        "r3": pearson(text.predicted(predicate.headline()), true),
        "p50": coverage(text, predicate.headline(), true),
        "named": len(meaning.terms),
        "listed": len(predicate.literals()),
        "bits": predicate.bits(),
    }


def _r_at(
    chosen: Bool[np.ndarray, " token"],
    predicted: Float[np.ndarray, " token"],
    true: Float[np.ndarray, " token"],
) -> float | None:
    return pearson(predicted[chosen], true[chosen]) if chosen.any() else None


def coverage(text: HeldOutText, headline: Predicate, true: Float[np.ndarray, " token"]) -> float:
    """Share of the strongest tokens at which a term holds that has the token's sign."""
    holds = np.zeros(len(true), dtype=bool)
    for term in headline.terms:
        has_sign = np.sign(true) == term.sign
        holds |= term.concept.mask(text.text)[text.holdout.mask] & has_sign
    strongest = np.argsort(-np.abs(true), kind="stable")[:STRONGEST]
    return float(holds[strongest].mean())


def list_prediction(text: HeldOutText, unit: Unit) -> Float[np.ndarray, " token"]:
    """The 24 tokens that lower the squared error on explore most, each with its fitted weight."""
    tokens = text.explore.tokens[text.explore.mask]
    signal = text.explore.signal(unit)[text.explore.mask].astype(np.float64)
    size = len(text.seen)
    centred = signal - signal.mean()
    sums = np.bincount(tokens, centred, minlength=size)
    best = np.argsort(-(sums**2) / (text.seen + SHRINK), kind="stable")[:LISTED]
    rest = float(centred[~np.isin(tokens, best)].mean()) if len(best) < size else 0.0
    weight = np.zeros(size)
    weight[best] = (sums[best] - text.seen[best] * rest) / (text.seen[best] + SHRINK)
    return weight[text.tokens]
