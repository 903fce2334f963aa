"""Statistics and exemplars of every unit (`Index`), and every activation of a run's targets
(`Collected`).

What runs the subject is imported when first used, so that looking things up needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .collected import Collected
from .index import Index, IndexSummary
from .split_reader import Exemplar, SiteStatistics, UnitStatisticsRow

if TYPE_CHECKING:
    from .build import ExemplarCounts, Progress, build_index
    from .collect_pass import Column, collect

_HOME = {
    "ExemplarCounts": "build",
    "Progress": "build",
    "build_index": "build",
    "Column": "collect_pass",
    "collect": "collect_pass",
}

__all__ = [
    "Collected",
    "Column",
    "Exemplar",
    "ExemplarCounts",
    "Index",
    "IndexSummary",
    "Progress",
    "SiteStatistics",
    "UnitStatisticsRow",
    "build_index",
    "collect",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
