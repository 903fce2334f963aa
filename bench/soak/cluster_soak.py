"""The part of the soak that needs a Ray cluster: indexes and runs on it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import fixtures
from .cluster import ClusterKiller, soak_cluster
from .cluster_world import make_world
from .fork_server import ForkServer
from .kill_cluster import ClusterTally, kill_indexes
from .kill_cluster_runs import ClusterRunKiller, ClusterRunTally
from .kill_runs import soak_server
from .promises import SoakResult, counts, never

DELAY_S = 0.2
"""Delay of each answer: a good part of a run's time, so that drivers are killed while they wait for one."""
Count = Callable[[str, int], None]
"""Called with a step, and the number of kills in it so far."""


class ClusterSoak(NamedTuple):
    """What came of indexes and of runs."""

    indexes: ClusterTally
    runs: ClusterRunTally


def soak_on_cluster(
    folder: Path, index_kills: int, run_kills: int, seed: int = 0, count: Count = lambda *_: None
) -> ClusterSoak:
    """Kill until there were so many kills while indexes are made, and so many while runs are.

    Args:
        folder: scratch space.

    Raises:
        UnavailableError: Ray is not installed.
    """
    fixtures.isolate(folder)
    world = make_world(folder)
    with (
        ForkServer(folder) as fork_server,
        soak_server(DELAY_S) as server,
        soak_cluster() as cluster,
    ):

        def killer(step: str, most: int) -> ClusterKiller:
            rng = random.Random(f"{seed}:{step}")
            return ClusterKiller(cluster, rng, Counter(), most, lambda n: count(step, n))

        indexes = kill_indexes(folder, world, killer("indexes", index_kills))
        runs = ClusterRunKiller(
            folder / "runs", world, server, fork_server, killer("runs", run_kills)
        )
        return ClusterSoak(indexes, runs.kill())


def cluster_result(found: ClusterSoak) -> SoakResult:
    """The promises that a cluster makes, and the counts."""
    indexes, runs = found
    promises = [
        never("shards of indexes lost", indexes.lost),
        never("shards that ended twice", indexes.twice),
        never("indexes that differ from one process's", indexes.differing),
        never("targets of runs lost", runs.lost),
        never("targets that ended twice", runs.twice),
        never(
            "replies paid for again, or journaled twice", runs.asked_again + runs.journaled_twice
        ),
        never("runs with other rows than one process's", runs.other_rows),
        never("runs with other events", runs.other_events),
        never("runs with other files, or hashes that do not hold", runs.other_files),
        never("lines between those of --json", runs.no_json),
    ]
    return SoakResult(
        promises, {"indexes": counts(indexes), "runs": counts(runs)}, indexes.notes + runs.notes
    )
