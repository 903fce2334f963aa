"""The tier of an explanation: what kind of thing it is; the verdict says how well it predicts.

    diffuse     not kept because it predicts too little, or no more than chance would
    list        kept, but 24 tokens with fitted weights do as well
    clear       kept, and its headline tells what the unit is about
    composite   kept, and better than a list, but three named concepts do not tell what it is about

In this order; the first that fits counts. There is no tier without a verdict, with fewer active
documents than a verdict needs, or if the explainer says that it cannot explain.

1. *list*, if the list beats the formula on holdout: whatever it says, it predicts no better.
2. *clear*, if r@3, P50@3 and the strength of its concepts all reach their thresholds. The three terms
   are named concepts, so that this is no list even where the paired difference is not certain.
3. *list*, if the formula is not reliably better than the list (lower end of the paired difference at
   or below 0) and its named concepts alone do not reach the list.
4. *composite*.

An explanation in words only has no terms: it is a list if a list beats it, else it has no tier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["clear", "composite", "list", "diffuse"]

CLEAR_STRENGTH = 1.3
"""Strength (``scorers.strength``) from which an explanation can be clear. It tells neurons from
rotated directions best: with the two floors below, 47 % of 200 neurons and 10 % of 100 directions are
clear (docs/design/tiers.md)."""
CLEAR_HEADLINE = 0.15
"""r@3 from which it can be clear: below, the headline predicts nearly nothing."""
CLEAR_COVERAGE = 0.02
"""P50@3 from which it can be clear: at least one of the 50 strongest tokens."""


@dataclass(frozen=True)
class TierScores:
    """What a tier rests on besides the verdict, all on holdout."""

    over_list: float
    """r minus the r of the floor *list*."""
    over_list_low: float | None
    """Lower end of this paired difference."""
    meaning_over_list: float | None = None
    """The same for the named concepts alone; None in words only."""
    headline: float | None = None
    """r@3."""
    coverage: float | None = None
    """P50@3; None if no token has a signal."""
    strength: float | None = None
    """In standard deviations; None in words only."""


def tier_of_kept(scores: TierScores) -> Tier | None:
    """The tier of an explanation whose verdict is kept."""
    if scores.over_list <= 0:
        return "list"
    if scores.headline is None:
        return None
    if (
        scores.headline >= CLEAR_HEADLINE
        and (scores.coverage or 0.0) >= CLEAR_COVERAGE
        and (scores.strength or 0.0) >= CLEAR_STRENGTH
    ):
        return "clear"
    is_better = scores.over_list_low is not None and scores.over_list_low > 0
    if not is_better and (scores.meaning_over_list or 0.0) <= 0:
        return "list"
    return "composite"
