"""The residue: exact tokens with fitted weights, for what no concept of the meaning covers.

Tokens exclude each other, so that each one's weight and cross-validated gain stand by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .candidates import CandidateMatrix, sums_by_fold
from .predicate import LISTED_BITS, ListedToken
from .ridge import RIDGE, SHRINK, cv_gain, rounded

if TYPE_CHECKING:
    from jaxtyping import Float

MIN_GAIN = 2 * np.log(2) * LISTED_BITS
"""Drop in squared error, in residual variances, that pays for naming a token and its weight."""
LARGEST_WEIGHT = 16
"""Steps of the strongest token where no concept sets the step."""


class TokenList(NamedTuple):
    """Listed tokens, largest gain first, the activation of one step, and how much they explain."""

    tokens: tuple[ListedToken, ...]
    step: float
    mean: float
    """Mean of the listed weights over the text, in steps."""
    gain: float
    """Cross-validated drop in squared error."""


def list_tokens(
    candidates: CandidateMatrix,
    residual: Float[np.ndarray, "positions"],
    most: int,
    step: float | None = None,
) -> TokenList:
    """The tokens that explain most of a residual whose mean is 0.

    Args:
        most: tokens.
        step: activation of one step; by default a sixteenth of the largest weight.
    """
    rows, strings = candidates.token_rows, candidates.lexicon.strings
    sums, counts = rows @ residual, np.diff(rows.indptr)
    gains = sums**2 / (counts + SHRINK)
    variance = float(residual @ residual) / max(1, len(residual))
    held_out = cv_gain(*sums_by_fold(rows, residual, candidates.fold))
    usable = (gains > MIN_GAIN * variance) & (held_out > 0)
    usable &= np.array([bool(strings[token]) for token in candidates.text.types])
    best = np.argsort(-np.where(usable, gains, -np.inf), kind="stable")[:most]
    best = best[usable[best]]
    weights = sums[best] / (counts[best] + RIDGE)
    if step is None:
        step = rounded(float(np.abs(weights).max(initial=0)) / LARGEST_WEIGHT) or 1.0
    levels = np.rint(weights / step).astype(int)
    listed: dict[str, ListedToken] = {}  # two tokens of a vocabulary may decode to the same text
    for type_index, level in zip(best, levels.tolist(), strict=True):
        string = strings[candidates.text.types[type_index]]
        if level:
            listed.setdefault(string, ListedToken(string, level))
    mean = float(levels @ counts[best]) / max(1, len(residual))
    return TokenList(tuple(listed.values()), step, mean, float(held_out[best].sum()))
