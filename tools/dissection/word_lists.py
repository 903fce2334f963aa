"""Lists of related words: ``words("says", "said")``, grown for each unit from neighbouring words.

1. Seeds are the words with the largest gain; a seed's list may take only words from its
   neighbourhood.
2. The list takes the word that raises (sum of residuals)^2 / (positions + shrink) most, as long as
   one does.
3. Lists are grown again without each fold in turn, and the gain of a list is measured on the fold
   that its words never saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .candidates import FOLDS, CandidateMatrix, Channel
from .ridge import SHRINK, cv_gain

if TYPE_CHECKING:
    from jaxtyping import Float

SEEDS = 24
GAIN_PER_WORD = 0.5
"""Share of the first word's minimum gain that each further word must add.

On noise, a word picked from a hundred neighbours adds z^2 of about 9.
"""


class WordList(NamedTuple):
    """A list (indices into the text's words) and its cross-validated gain."""

    words: tuple[int, ...]
    gain: float


def grow_word_lists(
    candidates: CandidateMatrix,
    channel: Channel,
    sums: Float[np.ndarray, "words folds"],
    max_words: int,
    min_gain: float = 0.0,
) -> list[WordList]:
    """Lists of 2 to ``max_words`` words from the best seeds of a channel.

    Args:
        sums: the channel's residuals by word and fold.
        min_gain: in-sample gain (``ridge.in_sample_gain``) that one word needs; each further word
            needs GAIN_PER_WORD of that more, since it was picked from about a hundred.
    """
    counts = channel.word_counts
    lists: dict[tuple[int, ...], float] = {}
    # 1. Seeds.
    for seed in np.argsort(-cv_gain(sums, counts), kind="stable")[:SEEDS]:
        near = candidates.nearest_words(int(seed))
        if len(near) < 2:
            continue
        s, n = sums[near], counts[near]
        # 2. On all folds, and 3. without each of them.
        total_s, total_n = s.sum(axis=1), n.sum(axis=1)
        whole = _grow(total_s, total_n, max_words)
        without = [_grow(total_s - s[:, f], total_n - n[:, f], max_words) for f in range(FOLDS)]
        for size in range(2, len(whole) + 1):
            members = whole[:size]
            gain = s[members].sum() ** 2 / (n[members].sum() + SHRINK)
            if gain >= min_gain * (1 + GAIN_PER_WORD * (size - 1)):
                held_out = (_held_out_gain(s, n, without[f][:size], f) for f in range(FOLDS))
                frequent_first = sorted(near[members].tolist(), key=lambda w: -counts[w].sum())
                lists[tuple(frequent_first)] = sum(held_out)
    return [WordList(words, gain) for words, gain in lists.items()]


def _grow(
    sums: Float[np.ndarray, "near"], counts: Float[np.ndarray, "near"], max_words: int
) -> list[int]:
    """Indices in the order in which they join the list, the seed (index 0) first."""
    members, total, size = [0], sums[0], counts[0]
    free = np.ones(len(sums), dtype=bool)
    free[0] = False
    while len(members) < max_words:
        joint = total + sums
        # Signed, so that a word of the opposite sign never joins.
        value = np.where(free, joint * np.abs(joint) / (size + counts + SHRINK), -np.inf)
        value = value * np.sign(total)
        best = int(np.argmax(value))
        if not free[best] or value[best] <= total**2 / (size + SHRINK):
            break
        members.append(best)
        free[best] = False
        total, size = total + sums[best], size + counts[best]
    return members


def _held_out_gain(
    sums: Float[np.ndarray, "near folds"],
    counts: Float[np.ndarray, "near folds"],
    members: list[int],
    fold: int,
) -> float:
    """Gain of a list on a fold that set neither its words nor its weight."""
    s, n = sums[members].sum(axis=0), counts[members].sum(axis=0)
    weight = (s.sum() - s[fold]) / (n.sum() - n[fold] + SHRINK)
    return float(2 * weight * s[fold] - weight**2 * n[fold])
