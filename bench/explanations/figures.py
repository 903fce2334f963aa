"""What is measured of one explanation on held-out text. Pearson r and shares, without intervals.

r          the whole formula
list       the 24 best tokens of explore with fitted weights, no concept
unseen     the formula on token types that explore never has
rare       the formula on token types that explore has at most twice
r3         its three terms of most evidence alone
p50        share of the 50 strongest tokens at which one of these three terms holds
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.correlation import pearson
from ...tools.dissection import Lexicon, Predicate, TextView, term_contributions
from ...tools.index import Collected
from ...tools.subject.address import Unit

LISTED = 24
RARE = 2
STRONGEST = 50
HEADLINE_TERMS = 3
SHRINK = 5.0
"""Pseudo-tokens per weight, as in the search."""


@dataclass(frozen=True)
class HeldOutText:
    """Explore and holdout, with what all targets share.

    Attributes:
        seen: how often explore has each token type, where it counts.
    """

    explore: Collected
    holdout: Collected
    lexicon: Lexicon

    @cached_property
    def explore_text(self) -> TextView:
        return TextView(self.explore.tokens, self.explore.length, self.lexicon)

    @cached_property
    def text(self) -> TextView:
        return TextView(self.holdout.tokens, self.holdout.length, self.lexicon)

    @cached_property
    def seen(self) -> Int[np.ndarray, " vocab"]:
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
    predicted = text.predicted(predicate)
    seen = text.seen[text.tokens]
    return {
        "r": pearson(predicted, true),
        "list": pearson(list_prediction(text, unit), true),
        "unseen": _r_at(seen == 0, predicted, true),
        "rare": _r_at(seen <= RARE, predicted, true),
        **_headline_pair(text, unit, predicate, true),
        "terms": len(predicate.terms),
    }


def _r_at(
    chosen: Bool[np.ndarray, " token"],
    predicted: Float[np.ndarray, " token"],
    true: Float[np.ndarray, " token"],
) -> float | None:
    return pearson(predicted[chosen], true[chosen]) if chosen.any() else None


def _headline_pair(
    text: HeldOutText, unit: Unit, predicate: Predicate, true: Float[np.ndarray, " token"]
) -> dict[str, float | None]:
    signal, mask = text.explore.signal(unit), text.explore.mask
    worth = term_contributions(predicate, text.explore_text, signal, mask)
    best = np.argsort(-np.array(worth), kind="stable")[:HEADLINE_TERMS]
    terms = tuple(predicate.terms[i] for i in sorted(best.tolist()))
    headline = Predicate(terms, predicate.step, predicate.rest)
    holds = np.zeros(len(true), dtype=bool)
    for term in terms:
        holds |= term.concept.mask(text.text)[text.holdout.mask]
    strongest = np.argsort(-np.abs(true), kind="stable")[:STRONGEST]
    return {
        "r3": pearson(text.predicted(headline), true),
        "p50": float(holds[strongest].mean()),
    }


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
