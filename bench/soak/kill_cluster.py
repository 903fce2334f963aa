"""A Ray cluster on this machine whose processes, actors and nodes are killed while it indexes.

1. One process makes the index. Its files are those that all others must end with.
2. A cluster of a head without CPUs and two nodes is started on loopback. Its workers make the index
   in shards, again and again, until there were as many kills as wanted.
3. At random moments one of three things is killed: the process of a worker (SIGKILL), an actor
   (through Ray), or a node with all its processes, which another one replaces.
4. No shard is given up, however often a worker dies at it: here it is never the shard that kills.
5. Every shard must end exactly once and without an error, and every file must be equal, `index.json`
   but for times.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from ...agent.engine.cluster import SETTINGS, STORE_BYTES, import_ray
from ...agent.engine.engine import EngineChoice
from ...agent.engine.index_pieces import ShardPiece, index_on_engine, shards_folder
from ...agent.engine.index_plan import IndexOrder
from ...agent.engine.ray_engine import LivingWorker, RayEngine
from ...agent.engine.worker import SubjectChoice
from ...agent.runlog.progress import Reporter
from .kill_shards import TIMES

KINDS = ("process", "actor", "node")
HEAD = "127.0.0.2"
"""Its address. Each node has its own; Linux answers at all of 127.0.0.0/8. Ray replaces 127.0.0.1."""
NODES = 2
SHARDS = 6
"""Of each index: enough that work is left when a worker has been replaced."""
PAUSE_S = (0.3, 2.0)
"""Seconds between two kills, at random."""
WORDS = "the of and in to a is was on Monday Tuesday Friday cat dog city river bank said told year"


@dataclass
class ClusterTally:
    """Counts over all indexes. `lost`, `twice` and `differing` must be 0."""

    indexes: int = 0
    shards: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    """Workers whose death cost a piece or a start."""
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


class _Nodes:
    """The cluster's nodes, of which the last ones may be killed."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._numbers = count(3)
        self.nodes = [self._add() for _ in range(NODES)]
        cluster.wait_for_nodes()

    def replace(self, number: int) -> None:
        """Kill a node with its processes, and start another."""
        self.cluster.remove_node(self.nodes[number], allow_graceful=False)
        self.nodes[number] = self._add()

    def _add(self) -> Any:
        return self.cluster.add_node(
            wait=False,
            num_cpus=1,
            object_store_memory=STORE_BYTES,
            node_ip_address=f"127.0.0.{next(self._numbers)}",
        )


def kill_cluster(
    folder: Path, kills: int, seed: int = 0, report: Callable[[int], None] = lambda kills: None
) -> ClusterTally:
    """Make indexes on a cluster until there were enough kills.

    Args:
        folder: scratch space.
        report: called with the number of kills.

    Raises:
        UnavailableError: Ray is not installed.
    """
    tally, started = ClusterTally(), time.monotonic()
    killer = _Killer(random.Random(seed), tally, kills, report)
    order = _make_world(folder)
    expected = _digest(folder / "one")
    with _cluster() as nodes:
        address = EngineChoice("ray", nodes.cluster.address, NODES)
        while tally.kills.total() < kills:
            out = folder / f"index-{tally.indexes}"
            engine = RayEngine.start(address, shards_folder(out), tally.notes.append, kills + 1)
            try:
                with ThreadPoolExecutor(1) as pool:
                    done = pool.submit(_index, engine, order, out, tally)
                    killer.kill_until(done, engine, nodes)
                    done.result()
            finally:
                tally.deaths += engine.deaths
                engine.close()
            if _digest(out) != expected:
                tally.differing += 1
                tally.notes.append(f"{out.name} is not the index of one process")
    tally.seconds = time.monotonic() - started
    return tally


def _index(engine: RayEngine, order: IndexOrder, out: Path, tally: ClusterTally) -> None:
    folder = shards_folder(out)
    pieces = [ShardPiece(order, folder, number, SHARDS) for number in range(1, SHARDS + 1)]
    ended = Counter[str]()
    for outcome in engine.run(pieces):
        ended[outcome.piece.key] += 1
        if outcome.error:
            tally.lost += 1
            tally.notes.append(outcome.error)
    tally.indexes += 1
    tally.shards += len(ended)
    tally.lost += SHARDS - len(ended)
    tally.twice += sum(ended.values()) - len(ended)
    index_on_engine(engine, order, out, Reporter(), shards=SHARDS)


class _Killer:
    """Kills what is at work. Only the main thread can start a node."""

    def __init__(
        self, rng: random.Random, tally: ClusterTally, most: int, report: Callable[[int], None]
    ) -> None:
        self._rng, self._tally, self._most, self._report = rng, tally, most, report

    def kill_until(self, done: Future[None], engine: RayEngine, nodes: _Nodes) -> None:
        """Kill at random moments until the work is done, or there were enough kills."""
        kills = self._tally.kills
        while not wait([done], self._rng.uniform(*PAUSE_S)).done and kills.total() < self._most:
            kind = self._rng.choice(KINDS)
            if kind == "node":
                nodes.replace(self._rng.randrange(NODES))
            elif workers := engine.living():
                self._kill_worker(kind, self._rng.choice(workers), engine)
            else:
                continue
            kills[kind] += 1
            self._report(kills.total())

    def _kill_worker(self, kind: str, worker: LivingWorker, engine: RayEngine) -> None:
        if kind == "actor":
            engine.kill(worker)
        else:
            with suppress(ProcessLookupError):  # it has died of another kill
                os.kill(worker.pid, signal.SIGKILL)


@contextmanager
def _cluster() -> Iterator[_Nodes]:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import_ray()
    utils: Any = import_module("ray.cluster_utils")

    head = {
        "num_cpus": 0,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "node_ip_address": HEAD,
    }
    cluster = utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        yield _Nodes(cluster)
    finally:
        cluster.shutdown()


def _make_world(folder: Path) -> IndexOrder:
    """A tiny subject and a corpus as files, and the index of one process, `one`."""
    from ...tools.corpus import read_corpus
    from ...tools.index import build_index
    from ...tools.subject import load_subject
    from ..tiny_subject import miniature

    made, rng = miniature(), random.Random(0)
    made.model.save_pretrained(folder / "subject")
    made.tokenizer.save_pretrained(folder / "subject")
    (folder / "texts").mkdir()
    for number in range(60):
        text = " ".join(rng.choice(WORDS.split()) for _ in range(150))
        (folder / "texts" / f"{number}.txt").write_text(text)
    subject = load_subject(str(folder / "subject"), device="cpu")
    corpus = read_corpus(str(folder / "texts"))
    build_index(subject, corpus, folder / "one", store="all")
    choice = SubjectChoice(str(folder / "subject"), subject.revision, "cpu")
    corpus_name = str(folder / "texts")
    return IndexOrder(choice, corpus_name, corpus.sha256, ("mlp", "head"), None, None, 64, 0, "all")


def _digest(index: Path) -> dict[str, str]:
    """The hash of each file of an index, and the entries of `index.json` that are no times."""
    import json

    from ...tools.files import file_sha256

    described = json.loads((index / "index.json").read_text())
    files = {
        str(path.relative_to(index)): file_sha256(path)
        for path in index.rglob("*")
        if path.is_file() and path.name != "index.json"
    }
    content = {name: value for name, value in described.items() if name not in TIMES}
    return files | {"index.json": json.dumps(content, sort_keys=True)}
