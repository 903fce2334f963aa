"""The statistics that scores and verdicts rest on, in one list; each lives in the file of its method."""

from __future__ import annotations

from .bootstrap import Interval, bootstrap, bootstrap_difference, bootstrap_r
from .discoveries import Rate, benjamini_hochberg, wilson
from .moments import pearson
from .permutation import PermutationTest, permutation_test
from .sample import Sample

__all__ = [
    "Interval",
    "PermutationTest",
    "Rate",
    "Sample",
    "benjamini_hochberg",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_r",
    "pearson",
    "permutation_test",
    "wilson",
]
