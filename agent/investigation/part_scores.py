"""What the parts of a formula are worth on select, for a language model to see while it can revise.

    meaning    r of the named concepts alone
    headline   r of the first three of them (r@3)
    coverage   share of the 50 strongest tokens at which one of these three holds (P50@3)
    unseen     r of the whole formula over token types that explore never shows
    list       r of 24 tokens with weights fitted on explore, which is no explanation: the floor

The same definitions as on holdout (docs/contract.md), without intervals. A score that cannot be
computed, such as `unseen` where every token was seen, is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...evals.statistics.correlation import pearson as pearson_of
from ...evals.statistics.sample import Sample
from ...tools.correlation import pearson
from ...tools.dissection import Predicate, TextView

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ..explainers.protocol import TargetData

STRONGEST = 50
LISTED, SHRINK = 24, 5.0
"""Tokens of the floor, and pseudo-tokens per weight, as in the formula search."""


def part_scores(explore: TargetData, select: TargetData, printed: str) -> dict[str, float | None]:
    """Scores of a printed predicate's parts on select."""
    predicate, headline = Predicate.parse(printed), Predicate.parse(printed).headline()
    text = TextView(select.tokens, select.length, select.lexicon)
    whole = predicate.predict_text(text)
    counts = np.bincount(explore.tokens[explore.mask], minlength=len(explore.lexicon.strings))
    scores = {
        "meaning": _r(select, predicate.meaning().predict_text(text)),
        "headline": _r(select, headline.predict_text(text)),
        "coverage": _coverage(select, headline, text),
        "unseen": _unseen(select, whole, counts),
        "list": _r(select, _list_prediction(explore, counts)[select.tokens]),
    }
    return {name: None if value is None else round(value, 3) for name, value in scores.items()}


def _r(data: TargetData, predicted: Float[np.ndarray, "contexts seq"]) -> float:
    return pearson_of(Sample(predicted, data.signal, data.mask, data.document))


def _coverage(data: TargetData, headline: Predicate, text: TextView) -> float:
    """A strongest token of a side counts where a term of that side holds."""
    true = data.signal[data.mask]
    strongest = np.argsort(-np.abs(true), kind="stable")[:STRONGEST]
    holds = np.zeros((2, len(true)), dtype=bool)
    for term in headline.terms:
        holds[int(term.weight < 0)] |= term.concept.mask(text)[data.mask]
    side = (true[strongest] < 0).astype(int)
    return float(holds[side, strongest].mean())


def _unseen(
    data: TargetData,
    predicted: Float[np.ndarray, "contexts seq"],
    counts: Int[np.ndarray, " vocab"],
) -> float | None:
    chosen = data.mask & (counts[data.tokens] == 0)
    if chosen.sum() < 2 or not np.ptp(data.signal[chosen]):
        return None
    return pearson(predicted[chosen].astype(np.float64), data.signal[chosen].astype(np.float64))


def _list_prediction(
    explore: TargetData, counts: Int[np.ndarray, " vocab"]
) -> Float[np.ndarray, " vocab"]:
    """Each token's weight: of the 24 that lower the squared error on explore most, else 0."""
    tokens = explore.tokens[explore.mask]
    signal = explore.signal[explore.mask].astype(np.float64)
    sums = np.bincount(tokens, signal - signal.mean(), minlength=len(counts))
    best = np.argsort(-(sums**2) / (counts + SHRINK), kind="stable")[:LISTED]
    weight = np.zeros(len(counts))
    weight[best] = sums[best] / (counts[best] + SHRINK)
    return weight
