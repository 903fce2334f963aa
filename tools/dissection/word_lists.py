"""Lists of words that hang together: ``words("says", "said")``, grown per unit from words that are
neighbours.

1. Seeds are the words with the largest gain; a seed's list may take only words from its
   neighbourhood.
2. The list takes the word that raises (sum of residuals)^2 / (positions + shrink) most, as long as
   one does.
3. Growing is repeated without each fold, and the gain of a list is counted on the fold that its
   words never saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .candidates import FOLDS, CandidateMatrix, Channel
from .ridge import SHRINK, cv_gain

if TYPE_CHECKING:
    from collections.abc import Sequence

SEEDS = 24
PER_WORD = 0.5  # of the evidence for one word; on noise a word picked from a hundred neighbours adds z^2 of about 9


class WordList(NamedTuple):
    """A list (indices into the library's words) and its cross-validated gain."""

    words: tuple[int, ...]
    gain: float


def grow_word_lists(
    library: CandidateMatrix, channel: Channel, sums: np.ndarray, most: int, least: float = 0.0
) -> list[WordList]:
    """Lists of 2 to ``most`` words from the best seeds of a channel.

    Args:
        sums: the channel's residuals by word and fold.
        least: evidence (``gain.evidence``) that one word needs; each further word needs PER_WORD of that more, since it
            was picked from about a hundred.
    """
    counts = channel.word_counts
    seeds = np.argsort(-cv_gain(sums, counts), kind="stable")[:SEEDS]
    found: dict[tuple[int, ...], float] = {}
    for seed in seeds:
        near = library.nearest_words(int(seed))
        if len(near) < 2:
            continue
        s, n = sums[near], counts[near]
        whole = _chain(s.sum(axis=1), n.sum(axis=1), most)
        held = [
            _chain(s.sum(axis=1) - s[:, f], n.sum(axis=1) - n[:, f], most) for f in range(FOLDS)
        ]
        for size in range(2, len(whole) + 1):
            some = whole[:size]
            told = s[some].sum() ** 2 / (n[some].sum() + SHRINK)
            if told >= least * (1 + PER_WORD * (size - 1)):
                gains = (_held_gain(s, n, chain[:size], f) for f, chain in enumerate(held))
                found[tuple(sorted(near[some], key=lambda w: -counts[w].sum()))] = sum(gains)
    return [WordList(tuple(int(w) for w in words), gain) for words, gain in found.items()]


def _chain(sums: np.ndarray, counts: np.ndarray, most: int) -> list[int]:
    """Indices in the order in which they join, the seed (index 0) first."""
    chosen, total, size = [0], sums[0], counts[0]
    free = np.ones(len(sums), dtype=bool)
    free[0] = False
    while len(chosen) < most:
        value = np.where(
            free, (total + sums) * np.abs(total + sums) / (size + counts + SHRINK), -np.inf
        ) * np.sign(total)
        best = int(np.argmax(value))
        if not free[best] or value[best] <= total**2 / (size + SHRINK):
            break
        chosen.append(best)
        free[best] = False
        total, size = total + sums[best], size + counts[best]
    return chosen


def _held_gain(sums: np.ndarray, counts: np.ndarray, chain: Sequence[int], f: int) -> float:
    s, n = sums[list(chain)].sum(axis=0), counts[list(chain)].sum(axis=0)
    weight = (s.sum() - s[f]) / (n.sum() - n[f] + SHRINK)
    return float(2 * weight * s[f] - weight**2 * n[f])
