"""Bias sets as shipped by packages: items that a causal subject scores, and the papers' scores.

Each module says where the shipped form differs from the paper's, and how the paper's score is
adapted to a subject that reads from left to right.
"""

from __future__ import annotations

from .items import BiasItem, WeightedText, items_of_half, weigh
from .score import score_items

__all__ = ["BiasItem", "WeightedText", "items_of_half", "score_items", "weigh"]
