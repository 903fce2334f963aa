"""Indexes that a dying cluster makes, compared with an index by one process.

1. One process makes the index. Its files are those that all others must end with.
2. The workers of a cluster make the index in shards, again and again, until there were as many kills
   as wanted (`cluster`): the process of a worker (SIGKILL), an actor (through Ray), or a node with
   all its processes, which another one replaces.
3. No shard is given up, however often a worker dies at it: here it is never the shard that kills.
4. Every shard must end exactly once and without an error, and every file must be equal, `index.json`
   but for times.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agent.engine.engine import EngineChoice
from ...agent.engine.index_pieces import holding, index_on_engine, shards_folder
from ...agent.engine.index_plan import IndexOrder
from ...agent.engine.piece import Piece, PieceOutcome, SmallCall
from ...agent.engine.ray_engine import RayEngine
from ...agent.engine.worker import SubjectChoice
from ...agent.runlog.progress import Reporter
from ...tools.errors import HubelError
from .cluster import NODES, ClusterKiller
from .cluster_world import ClusterWorld
from .kill_shards import index_files

SHARDS = 6
"""Of each index: enough that work is left when a worker has been replaced."""


@dataclass
class ClusterTally:
    """Counts over all indexes. `lost`, `twice` and `differing` must be 0."""

    indexes: int = 0
    shards: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    """Workers whose death cost a piece."""
    lost: int = 0
    """Shards that ended with an error."""
    twice: int = 0
    """Shards that ended more than once."""
    differing: int = 0
    """Indexes with a file that is not that of one process."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """Broken promises."""
        return self.lost + self.twice + self.differing


def kill_indexes(folder: Path, world: ClusterWorld, killer: ClusterKiller) -> ClusterTally:
    """Make indexes on a cluster until there were enough kills.

    Args:
        folder: for the indexes.
    """
    tally, started = ClusterTally(kills=killer.kills), time.monotonic()
    order = _order(world)
    expected = index_files(world.index)
    address = EngineChoice("ray", killer.cluster.address, NODES)
    while not killer.has_enough:
        out = folder / f"index-{tally.indexes}"
        most_deaths = killer.most + 1
        engine = RayEngine.start(address, shards_folder(out), lambda line: None, most_deaths)
        try:
            with ThreadPoolExecutor(1) as pool:
                done = pool.submit(_index, engine, order, out, tally)
                killer.kill_until(done, engine)
                done.result()
        finally:
            tally.deaths += engine.deaths
            engine.close()
        if index_files(out) != expected:
            tally.differing += 1
            tally.notes.append(f"{out.name} is not the index of one process")
    tally.seconds = time.monotonic() - started
    return tally


def _index(engine: RayEngine, order: IndexOrder, out: Path, tally: ClusterTally) -> None:
    counted = _Counted(engine)
    try:
        with holding(out):
            index_on_engine(counted, order, out, Reporter(), shards=SHARDS)
    except HubelError as error:
        tally.notes.append(str(error))
    tally.indexes += 1
    tally.shards += len(counted.ended)
    tally.lost += SHARDS - len(counted.ended)
    tally.twice += sum(counted.ended.values()) - len(counted.ended)


class _Counted:
    """An engine whose pieces are counted as they end well."""

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self.ended = Counter[str]()

    @property
    def workers(self) -> int:
        """As `Engine.workers`."""
        return self._engine.workers

    @property
    def note(self) -> str:
        """As `Engine.note`."""
        return self._engine.note

    def run(self, pieces: Iterable[Piece]) -> Iterator[PieceOutcome]:
        """As `Engine.run`."""
        for outcome in self._engine.run(pieces):
            if not outcome.error:
                self.ended[outcome.piece.key] += 1
            yield outcome

    def call(self, request: SmallCall) -> Any:
        """As `Engine.call`."""
        return self._engine.call(request)

    def close(self) -> None:
        """As `Engine.close`."""
        self._engine.close()


def _order(world: ClusterWorld) -> IndexOrder:
    choice = SubjectChoice(str(world.subject), world.revision, "cpu")
    return IndexOrder(
        choice, str(world.texts), world.corpus_sha256, world.sites, None, None, 64, 0, "all"
    )
