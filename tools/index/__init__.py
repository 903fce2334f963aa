"""Statistics and exemplars of every unit (`Index`), and the activations of a run's targets
(`Collected`).

    build, split_pass         build an index: batch_plan, site_totals, topk and store serve them
    derived_index, _units     index functions of stored vectors: directions, latents, probes
    shards                    an index in parts, which are merged exactly
    index, split_reader       look things up in it
    collect_pass, collected   write and read a run's activations
    holdout                   the only access to held-out text

What runs the subject is imported on first use, so that look-ups need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .collected import Collected
from .index import Index, IndexSummary
from .split_reader import Exemplar, SiteStatistics, UnitStatisticsRow

if TYPE_CHECKING:
    from .build import ExemplarCounts, build_index
    from .collect_inputs import Column
    from .collect_pass import collect
    from .derived_index import index_derived_units
    from .derived_units import DerivedUnits, direction_units
    from .pass_progress import Progress
    from .shards.build_shard import index_shard
    from .shards.merge import merge_shards
    from .shards.shard import Shard

_HOME = {
    "ExemplarCounts": "build",
    "Progress": "pass_progress",
    "build_index": "build",
    "Column": "collect_pass",
    "collect": "collect_pass",
    "DerivedUnits": "derived_units",
    "direction_units": "derived_units",
    "index_derived_units": "derived_index",
    "Shard": "shards.shard",
    "index_shard": "shards.build_shard",
    "merge_shards": "shards.merge",
}

__all__ = [
    "Collected",
    "Column",
    "DerivedUnits",
    "Exemplar",
    "ExemplarCounts",
    "Index",
    "IndexSummary",
    "Progress",
    "Shard",
    "SiteStatistics",
    "UnitStatisticsRow",
    "build_index",
    "collect",
    "direction_units",
    "index_derived_units",
    "index_shard",
    "merge_shards",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
