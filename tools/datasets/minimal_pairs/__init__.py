"""Minimal pairs: a grammatical text and one that differs in what makes it ungrammatical.

Generated in twins, so that a preference that ignores the grammar is right in exactly half of them.
Warstadt et al., "BLiMP" (TACL 2020); Marvin and Linzen (EMNLP 2018).
"""

from __future__ import annotations

from .pair import MinimalPair, minimal_pairs, phenomena
from .table import read_pairs

__all__ = ["MinimalPair", "minimal_pairs", "phenomena", "read_pairs"]
