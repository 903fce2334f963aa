"""A baseline for the search: the ten tokens whose mean activations say most, with fitted weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .concepts.words import Token
from .lexicon import Lexicon
from .predicate import Predicate
from .ridge import FINE_SCALES, SHRINK, RidgeMoments, graded_predicate
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

TOKENS = 10


def ten_weighted_tokens(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
) -> Predicate:
    """The ten tokens with the largest S^2 / (N + shrink), strongest first.

    S is the sum of the centred signal over a token's N positions.
    """
    text = TextView(tokens, length, lexicon)
    keep = np.asarray(mask, dtype=bool) & text.real
    keep[:, 0] = False
    values = np.asarray(signal, dtype=np.float64)[keep]
    mean = float(values.mean()) if len(values) else 0.0
    centred = values - mean
    types = text.type_index[keep]
    counts = np.bincount(types, minlength=len(text.types))
    sums = np.bincount(types, centred, minlength=len(text.types))
    gain = sums**2 / (counts + SHRINK)

    strings = [lexicon.strings[token] for token in text.types]
    order = np.argsort(-gain, kind="stable")[:TOKENS]
    best = [i for i in order if gain[i] > 0 and strings[i]]
    moments = RidgeMoments.start(centred, np.zeros(len(values), int), 1)
    for i in best:
        moments = moments.added((types == i).astype(np.float64))
    return graded_predicate([Token(strings[i]) for i in best], moments, mean, FINE_SCALES)
