"""A Ray cluster on loopback whose nodes are started as a user starts them, each with its own faults."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hubel

WHERE = str(Path(hubel.__file__).parents[1])
STOP_S = 20.0


def environment() -> dict[str, str]:
    """Of nodes and of commands. No token is asked for, whatever an earlier Ray left on this machine."""
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    return {**os.environ, **ray, "PYTHONPATH": WHERE, "OMP_NUM_THREADS": "1"}


class RayNodes:
    """Nodes of one CPU each; the first is the head. Addresses are of this process alone."""

    def __init__(self) -> None:
        self._network = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}."
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{self.node(2)}:{self.port}"

    def node(self, number: int) -> str:
        """The address of a node; the head's is number 2, since Ray replaces 127.0.0.1."""
        return f"{self._network}{number}"

    def start(
        self, number: int, mounts: Iterable[str] = (), first_on_path: str = ""
    ) -> subprocess.Popen[str]:
        """Begin to start a node; wait for the process that is returned.

        Args:
            mounts: commands that change what the node sees of the disk.
            first_on_path: a folder where its Python looks first.
        """
        where = f"--address={self.address}"
        if number == 2:
            where = f"--head --port={self.port} --include-dashboard=false"
        command = (
            f"{sys.executable} -m ray.scripts.scripts start {where} --num-cpus=1 "
            f"--node-ip-address={self.node(number)} --object-store-memory=80000000"
        )
        words = ["sh", "-c", " && ".join([*mounts, f"exec {command}"])]
        path = os.pathsep.join(filter(None, [first_on_path, WHERE]))
        return subprocess.Popen(
            [*(["unshare", "-rm"] if mounts else []), *words],
            env=environment() | {"PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )

    def kill(self, number: int) -> None:
        """Kill what makes a node: its processes die with it."""
        for pid in _processes(self.node(number)):
            if "log_monitor" not in _command(pid):
                _kill(pid)

    def workers(self, number: int) -> list[int]:
        """The processes of hubel's workers on a node."""
        raylets = _processes(f"node_ip_address={self.node(number)}")
        return [
            pid
            for pid in _all_processes()
            if _command(pid).startswith("ray::RayWorker") and _parent(pid) in raylets
        ]

    def close(self) -> None:
        """Kill all of it, and wait until it is gone."""
        end = time.monotonic() + STOP_S
        while (pids := _processes(self._network)) and time.monotonic() < end:
            for pid in pids:
                _kill(pid)
            time.sleep(0.2)


@contextmanager
def ray_nodes() -> Iterator[RayNodes]:
    """Nodes, all of which are killed when the block ends."""
    nodes = RayNodes()
    try:
        yield nodes
    finally:
        nodes.close()


def _all_processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _processes(named: str) -> list[int]:
    """Processes of Ray whose command line has some text in it."""
    own = os.getpid()
    return [
        pid
        for pid in _all_processes()
        if pid != own and named in (line := _command(pid)) and "/ray/" in line
    ]


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
