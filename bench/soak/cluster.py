"""A Ray cluster on loopback whose processes, actors and nodes are killed at random moments.

The cluster has a head without CPUs, and two nodes with an address each and a CPU each. A killed node
is replaced by another one. Processes of workers are found as the children of the nodes' own raylets,
so that nothing of another cluster on this machine is ever killed.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from ...agent.engine.cluster import SETTINGS, STORE_BYTES, import_ray
from ...agent.engine.ray_engine import RayEngine

HEAD = "127.0.0.2"
"""Its address. Each node has its own; Linux answers at all of 127.0.0.0/8. Ray replaces 127.0.0.1."""
NODES = 2
PAUSE_S = (0.3, 2.0)
"""Seconds between two kills, at random."""
HEALTH = {"health_check_period_ms": 500, "health_check_initial_delay_ms": 0}
"""Of the cluster, so that a dead node is noticed within seconds. With Ray's own values it takes half a
minute, in which what was in flight to it waits."""
READY = ("ray::RayWorker", "ray::RayWorker.work")
"""Titles of the processes of workers that have started."""
OF_AN_ENGINE = ("process", "actor", "node")
"""What is killed where the engine is in this process. Only the engine has its actors."""


class SoakCluster:
    """The cluster, whose last nodes may be killed. Only the main thread can start a node."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._numbers = count(3)
        self._nodes = [self._add() for _ in range(NODES)]
        cluster.wait_for_nodes()

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return self._cluster.address

    def replace_node(self, number: int) -> None:
        """Kill a node with its processes, and start another."""
        self._cluster.remove_node(self._nodes[number], allow_graceful=False)
        self._nodes[number] = self._add()

    def workers(self) -> list[int]:
        """Process ids of the workers that have started, of this moment."""
        raylets = [node.all_processes["raylet"][0].process.pid for node in self._nodes]
        children = [pid for raylet in raylets for pid in _children(raylet)]
        return [pid for pid in children if _title(pid) in READY]

    def _add(self) -> Any:
        return self._cluster.add_node(
            wait=False,
            num_cpus=1,
            object_store_memory=STORE_BYTES,
            node_ip_address=f"127.0.0.{next(self._numbers)}",
        )


@contextmanager
def soak_cluster() -> Iterator[SoakCluster]:
    """A cluster, ended when the block ends.

    Raises:
        UnavailableError: Ray is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import_ray()
    utils: Any = import_module("ray.cluster_utils")
    head = {
        "num_cpus": 0,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "node_ip_address": HEAD,
        "_system_config": HEALTH,
    }
    cluster = utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        yield SoakCluster(cluster)
    finally:
        cluster.shutdown()


class ClusterKiller:
    """Kills what is at work, until there were enough kills.

    Args:
        kills: how many of each kind there were; counted on here.
        most: kills in all.
        report: called with the number of kills.
    """

    def __init__(
        self,
        cluster: SoakCluster,
        rng: random.Random,
        kills: Counter[str],
        most: int,
        report: Callable[[int], None],
    ) -> None:
        self.cluster, self.rng, self.kills, self.most = cluster, rng, kills, most
        self._report = report

    @property
    def has_enough(self) -> bool:
        """Whether there were enough kills."""
        return self.kills.total() >= self.most

    def kill_until(self, done: Future[Any], engine: RayEngine, most: int | None = None) -> None:
        """Kill workers and nodes at random moments, until the work of an engine is done.

        Args:
            most: kills until it is left alone; None for no limit of its own.
        """
        left = self.most if most is None else most
        while not wait([done], self.rng.uniform(*PAUSE_S)).done and left and not self.has_enough:
            kind = self.rng.choice(OF_AN_ENGINE)
            left -= self._actor(engine) if kind == "actor" else self.kill(kind)

    def kill(self, kind: str) -> bool:
        """Kill a node, or the process of a worker; False if there was none."""
        if kind == "node":
            self.cluster.replace_node(self.rng.randrange(NODES))
        elif workers := self.cluster.workers():
            try:
                os.kill(self.rng.choice(workers), signal.SIGKILL)
            except ProcessLookupError:  # it has died of another kill
                return False
        else:
            return False
        self.count(kind)
        return True

    def count(self, kind: str) -> None:
        """Count a kill."""
        self.kills[kind] += 1
        self._report(self.kills.total())

    def _actor(self, engine: RayEngine) -> bool:
        workers = engine.living()
        if workers:
            engine.kill(self.rng.choice(workers))
            self.count("actor")
        return bool(workers)


def _children(pid: int) -> list[int]:
    """Process ids of a process's children, whichever of its threads started them."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            found += map(int, path.read_text().split())
    return found


def _title(pid: int) -> str:
    """How a process is shown; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0 ").decode(errors="replace")
    except OSError:
        return ""
