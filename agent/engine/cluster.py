"""How this process reaches a Ray cluster, and what it finds there.

1. Ray is imported only here and in the engine, and only when it was asked for.
2. An address is tried first by a socket, then by a process of its own: Ray itself waits for minutes
   and prints warnings where nothing answers, or something else than Ray does.
3. Workers of a Ray that is started here have the priority of this process. Ray gives them 15 less, and
   on a machine that does other work they hardly get a turn.
4. Nothing leaves the network: no dashboard, no usage statistics. On an address of this machine
   alone, Ray must not look for the address of an interface.
5. A head may ask for a token, as one does that was started where an earlier Ray left a token. Ray sends
   none to an address that it is given, so it is made to where the head asks.
6. Importing Ray replaces the handler of SIGTERM; it is put back, so that the signal ends a command
   as Ctrl-C does.
7. Ray prints nothing here. When a node dies it would print the last lines of its log on standard
   output, between the lines of `--json`, whatever `log_to_driver` says.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from ...tools.errors import HubelError, UnavailableError, UsageError

REACH_S = 5.0
"""Seconds for a connection to the head."""
PROBE_S = 30.0
"""Seconds for the head's answer, of which importing Ray takes up to 10 on a busy machine."""
STORE_BYTES = 100_000_000
"""Of the object store of a Ray that is started here: pieces and answers are small. Ray's least is 75 MB."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}
LAST_PORT = 65535
LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""At 0 Ray keeps 127.0.0.1 as it is, and a machine cannot join others."""
AUTH_MODE = "RAY_AUTH_MODE"
"""At token Ray sends the token that is in a file or in a variable of its own."""
_REFUSED = "AuthenticationError"
"""What Ray raises where the head asks for a token and gets none, or another one."""
_ADVICE = "start the head as docs/cluster.md says, or correct --address"
_PROBE = """
import sys
from ray._common.usage.usage_lib import get_cluster_metadata
from ray._raylet import GcsClient
found = get_cluster_metadata(GcsClient(address=sys.argv[1]))
print("versions", found["ray_version"], found["python_version"])
"""


class ClusterSize(NamedTuple):
    """What the nodes of a cluster that have CPUs have in all, and the CPUs of the smallest."""

    nodes: int
    cpus: int
    gpus: int
    smallest: int


class WorkerSize(NamedTuple):
    """How many workers there are, and the CPUs and GPUs of each."""

    workers: int
    cpus: int
    gpus: float


def import_ray() -> Any:
    """The module; raises UnavailableError if it is not installed."""
    _ray_version()
    with _handlers_kept():
        ray, printer = import_module("ray"), import_module("ray._private.worker")
    vars(printer)["_worker_logs_enabled"] = False
    return ray


def _ray_version() -> str:
    """Of the Ray that is installed; raises UnavailableError if none is."""
    try:
        return version("ray")
    except PackageNotFoundError as error:
        raise UnavailableError(
            "--engine ray: Ray is not installed; `pip install 'hubel[ray]'`, or leave out --engine"
        ) from error


def connect(address: str, workers: int) -> Any:
    """Connect this process to a cluster, or start Ray on this machine; returns the module `ray`.

    Args:
        address: HOST:PORT, "auto", or "" to start Ray here.
        workers: for which a Ray that is started here has CPUs.

    Raises:
        UsageError: the address is not one, or the cluster has another Ray or Python.
        UnavailableError: Ray is not installed, or does not answer.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    host = check_address(address).partition(":")[0]
    if host in ("", "127.0.0.1", "localhost"):
        os.environ.setdefault(LOOPBACK_ONLY, "0")
    if host not in ("", "auto"):
        check_answers(address, _ray_version())
    ray = import_ray()  # after the check, which may set how it is to be loaded
    options: dict[str, Any] = {"address": address}
    if not address:
        cpus = max(workers, os.cpu_count() or 1)
        options = {
            "address": "local",
            "num_cpus": cpus,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
        }
    if host.startswith("127."):
        options["_node_ip_address"] = (
            host  # this process is on the head, not on a node that may die
        )
    if host in ("", "localhost"):
        options["_node_ip_address"] = "127.0.0.1"
    try:
        with _handlers_kept():
            ray.init(
                **options, log_to_driver=False, logging_level="ERROR", job_config=_job_config()
            )
    except (OSError, RuntimeError, ValueError) as error:
        line = str(error).strip().partition("\n")[0]
        raise UnavailableError(
            f"the Ray cluster at {address or 'this machine'} cannot be joined: {line}; start one as "
            "docs/cluster.md says, or leave out --engine"
        ) from error
    return ray


def check_address(address: str) -> str:
    """The address; raises UsageError if it is not HOST:PORT or "auto"."""
    found = re.fullmatch(r"[\w.\-]+:(\d{1,5})", address)
    if address in ("", "auto") or (found and int(found[1]) <= LAST_PORT):
        return address
    raise UsageError(
        f"--address {address!r} given; expected HOST:PORT of the cluster's head, as `ray start --head` "
        "prints it, or auto"
    )


def check_answers(address: str, ray_version: str) -> None:
    """Ask the head of a cluster for its versions. Where only a token makes it answer, one is sent from now on.

    Raises:
        UsageError: they are not those of this process.
        UnavailableError: no answer, or one of something else than Ray, or no fitting token.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_S).close()
    except OSError as error:
        raise UnavailableError(f"nothing answers at {address} ({error}): {_ADVICE}") from error
    answer = _ask(address, {})
    refused = _REFUSED in answer
    if refused and AUTH_MODE not in os.environ:
        answer = _ask(address, {AUTH_MODE: "token"})
    versions = re.search(r"^versions (\S+) (\S+)", answer, re.MULTILINE)
    if refused and versions:
        os.environ[AUTH_MODE] = "token"
    elif refused:
        raise UnavailableError(
            f"the cluster at {address} asks for a token that this process does not have: copy "
            "~/.ray/auth_token of its head to each machine, or start it with RAY_AUTH_MODE=disabled"
        )
    if versions is None:
        raise UnavailableError(
            f"{address} answers, but not as the head of a Ray cluster does: {_ADVICE}"
        )
    here = ray_version, sys.version.split()[0]
    if versions.groups() != here:
        raise UsageError(
            f"the cluster at {address} has Ray {versions[1]} and Python {versions[2]}, this process Ray "
            f"{here[0]} and Python {here[1]}: install the same versions on all nodes"
        )


def _ask(address: str, environment: dict[str, str]) -> str:
    """What a head answers, or Ray's errors; "" if it is silent for too long."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=False,
            env=os.environ | environment,
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout + done.stderr


def cluster_size(ray: Any) -> ClusterSize:
    """What the living nodes have. A node without CPUs, such as a head that does no work, has no worker."""
    living = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = [resources for resources in living if resources.get("CPU", 0) >= 1]
    cpus = [int(resources["CPU"]) for resources in found]
    gpus = sum(int(resources.get("GPU", 0)) for resources in found)
    return ClusterSize(len(found), sum(cpus), gpus, min(cpus, default=0))


def worker_size(size: ClusterSize, wanted: int) -> WorkerSize:
    """One worker on each GPU, or on each node without one, unless a number is wanted.

    Raises:
        UsageError: more are wanted than the cluster has CPUs.
        UnavailableError: it has none.
    """
    if not size.nodes:
        raise UnavailableError(
            "no node of the cluster has a CPU: start its nodes as docs/cluster.md says, and then this "
            "command, which continues"
        )
    count = wanted or size.gpus or size.nodes
    if count > size.cpus:
        raise UsageError(
            f"--workers {count}: the cluster has {size.cpus} CPUs, and a worker needs one; give at most "
            f"{size.cpus}, or add nodes"
        )
    if size.gpus:
        return WorkerSize(count, 1, min(1.0, size.gpus / count))
    on_a_node = -(-count // size.nodes)
    return WorkerSize(count, max(1, size.smallest // on_a_node), 0.0)


def one_line(error: BaseException) -> str:
    """The cause of an error of Ray, whose messages have many lines."""
    if isinstance(error, HubelError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    return (causes or lines or [type(error).__name__])[-1 if causes else 0]


def _job_config() -> Any:
    """Workers look for hubel where this process does."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return import_module("ray.job_config").JobConfig(_py_driver_sys_path=paths)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put the handler of SIGTERM back, which Ray replaces. Only the main thread has handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
