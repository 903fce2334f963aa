"""What a bias set asks of a subject: texts of which each token counts with a weight.

The score of a text is the weighted sum of its tokens' log probabilities. One form serves every set:
a mean over tokens (StereoSet), the tokens that two sentences share (CrowS-Pairs), the tokens from a
pronoun on (WinoBias). An item's first text is the stereotype, its second the other direction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..errors import UsageError

if TYPE_CHECKING:
    from ..subject import Subject

BiasSetName = Literal["stereoset", "crows-pairs", "winobias", "bbq"]


class WeightedText(NamedTuple):
    """Token ids, and how much each one's log probability counts; the first token has weight 0."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class BiasItem:
    """One question of a bias set.

    Attributes:
        texts: stereotype, then the other direction, then what belongs to neither, if any.
        group: what is resampled as a whole: a target term, a pair of occupations, a template.
        domain: what the set calls it: "race", "gender" ...
        part: of a set with several tasks, such as "intersentence"; else "".
    """

    texts: tuple[WeightedText, ...]
    group: str
    domain: str
    part: str = ""


def weigh(ids: Sequence[int], counted: Sequence[int], *, mean: bool = False) -> WeightedText:
    """A text of which the tokens at some positions count, each with weight 1 or with equal shares.

    Raises:
        UsageError: no token counts, or the first does, which follows nothing.
    """
    if not counted or min(counted) < 1 or max(counted) >= len(ids):
        raise UsageError(
            f"positions {list(counted)[:8]} of a text of {len(ids)} tokens count; "
            "give at least one, from 1 on"
        )
    weights = np.zeros(len(ids))
    weights[list(counted)] = 1 / len(counted) if mean else 1.0
    return WeightedText(tuple(int(token) for token in ids), tuple(weights.tolist()))


def weigh_end(
    subject: Subject, prefix: str, end: str, start: int, *, mean: bool = False
) -> WeightedText:
    """A text of which only what follows a prefix counts; both are cut into tokens together."""
    ids, offsets = subject.tokenize(prefix + end)
    after = [place for place, (_, stop) in enumerate(offsets, 1) if stop > len(prefix)]
    return weigh([start, *ids], after, mean=mean)


def items_of_half(items: Sequence[BiasItem], seed: int) -> tuple[list[BiasItem], list[BiasItem]]:
    """Split items in two by group: half of the groups of each domain on either side."""
    rng = np.random.default_rng(seed)
    first: set[str] = set()
    groups_of: dict[str, set[str]] = defaultdict(set)
    for item in items:
        groups_of[item.domain].add(item.group)
    for domain in sorted(groups_of):
        groups = sorted(groups_of[domain])
        chosen = rng.permutation(len(groups))[: len(groups) // 2]
        first |= {groups[int(number)] for number in chosen}
    # A group in two domains is on the first side if either put it there.
    halves: tuple[list[BiasItem], list[BiasItem]] = [], []
    for item in items:
        halves[item.group not in first].append(item)
    return halves
