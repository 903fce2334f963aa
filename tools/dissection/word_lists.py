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
        whole, *without = _grow(
            np.concatenate([total_s[None], total_s - s.T]),
            np.concatenate([total_n[None], total_n - n.T]),
            max_words,
        )
        held_out = [_held_out_gains(s, n, without[f], f) for f in range(FOLDS)]
        for size in range(2, len(whole) + 1):
            members = whole[:size]
            gain = s[members].sum() ** 2 / (n[members].sum() + SHRINK)
            if gain >= min_gain * (1 + GAIN_PER_WORD * (size - 1)):
                frequent_first = sorted(near[members].tolist(), key=lambda w: -counts[w].sum())
                # A list that stopped growing without a fold is taken as it is.
                gains = (by_size[min(size, len(by_size)) - 1] for by_size in held_out)
                lists[tuple(frequent_first)] = sum(gains)
    return [WordList(words, gain) for words, gain in lists.items()]


def _grow(
    sums: Float[np.ndarray, "runs near"], counts: Float[np.ndarray, "runs near"], max_words: int
) -> list[list[int]]:
    """Of each run, indices in the order in which they join the list, the seed (index 0) first.

    A list grows only from a seed whose sum is positive: its words all raise the signal.
    """
    members: list[list[int]] = [[0] for _ in sums]
    total, size = sums[:, :1].copy(), counts[:, :1].copy()
    free = np.ones(sums.shape, dtype=bool)
    free[:, 0] = False
    growing = set(np.flatnonzero(total > 0).tolist())
    for _ in range(max_words - 1):
        joint = total + sums
        # Signed, so that a word of the opposite sign never joins.
        value = np.where(free, joint * np.abs(joint) / (size + counts + SHRINK), -np.inf)
        present = total**2 / (size + SHRINK)
        for run, best in enumerate(value.argmax(axis=1).tolist()):
            if run not in growing:
                continue
            if not free[run, best] or value[run, best] <= present[run, 0]:
                growing.remove(run)
                continue
            members[run].append(best)
            free[run, best] = False
            total[run] += sums[run, best]
            size[run] += counts[run, best]
        if not growing:
            break
    return members


def _held_out_gains(
    sums: Float[np.ndarray, "near folds"],
    counts: Float[np.ndarray, "near folds"],
    members: list[int],
    fold: int,
) -> list[float]:
    """Gain of the first one, two, ... members on a fold that set neither them nor their weight."""
    s, n = np.cumsum(sums[members], axis=0), np.cumsum(counts[members], axis=0)
    s_fold, n_fold = s[:, fold], n[:, fold]
    weight = (s.sum(axis=1) - s_fold) / (n.sum(axis=1) - n_fold + SHRINK)
    return (2 * weight * s_fold - weight**2 * n_fold).tolist()
