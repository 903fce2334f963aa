"""What is refused before Ray is asked, and how workers are sized and checked. No Ray is started."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hubel.agent.cli import options
from hubel.agent.engine import UnfitWorker
from hubel.agent.engine.cluster import (
    ClusterSize,
    WorkerSize,
    check_address,
    check_answers,
    cluster_size,
    one_line,
    worker_size,
)
from hubel.agent.engine.ray_worker import WorkerReport, check_report, versions_here
from hubel.tools.errors import UnavailableError, UsageError


@pytest.mark.parametrize("address", ["nonsense", "ray://host:1", "host:", "http://host:6379", ":1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        check_address(address)


def test_an_address_at_which_nothing_answers_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"nothing answers at 127.0.0.1:{port}"):
        check_answers(f"127.0.0.1:{port}", "2.60.0")


def test_options_of_ray_need_ray() -> None:
    parser = argparse.ArgumentParser()
    options.add_engine(parser)
    with pytest.raises(UsageError, match="--address is of --engine ray"):
        options.engine(parser.parse_args(["--address", "head:1"]))
    with pytest.raises(UsageError, match="--workers -1"):
        options.engine(parser.parse_args(["--engine", "ray", "--workers", "-1"]))


def test_one_worker_on_each_gpu_or_node() -> None:
    assert worker_size(ClusterSize(3, 12, 0, 4), 0) == WorkerSize(3, 4, 0.0)
    assert worker_size(ClusterSize(3, 12, 0, 4), 6) == WorkerSize(6, 2, 0.0)
    assert worker_size(ClusterSize(2, 64, 8, 32), 0) == WorkerSize(8, 1, 1.0)
    assert worker_size(ClusterSize(1, 8, 1, 8), 2) == WorkerSize(2, 1, 0.5)
    with pytest.raises(UsageError, match="at most 12"):
        worker_size(ClusterSize(3, 12, 0, 4), 13)


def test_a_head_without_cpus_has_no_worker() -> None:
    def node(cpus: int, gpus: int = 0, *, alive: bool = True) -> dict[str, Any]:
        # as Ray describes nodes: what a node does not have is not in its resources
        resources = {"CPU": float(cpus), "GPU": float(gpus), "memory": 1e9}
        return {"Alive": alive, "Resources": {name: n for name, n in resources.items() if n}}

    head, small, large = node(0), node(4), node(8, 2)
    ray = SimpleNamespace(nodes=lambda: [head, small, large, node(4, alive=False)])
    assert cluster_size(ray) == ClusterSize(2, 12, 2, 4)
    without_nodes = cluster_size(SimpleNamespace(nodes=lambda: [head]))
    with pytest.raises(UnavailableError, match="no node of the cluster has a CPU"):
        worker_size(without_nodes, 0)


def test_a_worker_that_differs_is_unfit(tmp_path: Path) -> None:
    here = versions_here()
    fit = WorkerReport("worker 1", "127.0.0.2", 1, here)
    check_report(fit, here, tmp_path)
    other = fit._replace(versions=here | {"torch": "1.0"})
    with pytest.raises(UnfitWorker, match=r"worker 1 has torch 1.0 instead of"):
        check_report(other, here, tmp_path)
    with pytest.raises(UnfitWorker, match="does not see"):
        check_report(fit._replace(sees=False), here, tmp_path)
    with pytest.raises(UnfitWorker, match="No space left"):
        check_report(fit._replace(writes="No space left on device"), here, tmp_path)


def test_the_cause_of_a_long_error_is_one_line() -> None:
    text = "The actor died:\n  File x\nModuleNotFoundError: No module named 'hubel'\n"
    assert one_line(RuntimeError(text)) == "ModuleNotFoundError: No module named 'hubel'"
    assert one_line(RuntimeError("It died.\nmore")) == "It died."
