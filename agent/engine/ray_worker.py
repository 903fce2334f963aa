"""The actor that runs pieces, and what is checked before it gets any."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from ... import __version__
from ...tools.errors import HubelError
from ...tools.files import cache_dir
from ...tools.files.code_digest import code_digest
from .worker import UnfitWorker, Worker

ROOT = Path(__file__).parents[2]
CODE = ("tools", "evals", "studies", "agent", "bench")
"""The folders whose code decides what comes out of a piece."""
OTHER_PACKAGES = ("torch", "numpy", "transformers", "spacy")
"""Packages whose version decides it too."""


class WorkerReport(NamedTuple):
    """What a worker finds where it is.

    Attributes:
        where: node and process, for messages.
        node: its address.
        pid: of its process.
        versions: of hubel, its code, Python and the packages that decide results.
        sees: whether it sees the probe file in the shared folder.
        writes: why it cannot write there; "" if it can.
        cache: its cache folder.
    """

    where: str
    node: str
    pid: int
    versions: dict[str, str]
    sees: bool = True
    writes: str = ""
    cache: str = ""


class LivingWorker(NamedTuple):
    """A worker that is ready or at work."""

    actor: Any
    where: str
    node: str
    pid: int


class WorkerAnswer(NamedTuple):
    """What came of a request: a value, or an error that hubel raised on purpose."""

    value: Any = None
    error: HubelError | None = None


@dataclass(frozen=True)
class WorkerOrder:
    """What a worker is started with.

    Attributes:
        probe: a file in the shared folder that the driver has written.
        environment: settings that it takes where its node has none.
        folder: the driver's, for relative paths, if the node has it.
    """

    probe: Path
    environment: dict[str, str]
    folder: Path


class RayWorker:
    """Runs one request after another, each of which names all that it needs.

    Args:
        order: what it is started with.
    """

    def __init__(self, order: WorkerOrder) -> None:
        ray: Any = import_module("ray")

        for name, value in order.environment.items():
            os.environ.setdefault(name, value)
        if order.folder.is_dir():
            os.chdir(order.folder)
        self._order = order
        self._node = ray.util.get_node_ip_address()
        self._where = f"the worker on {socket.gethostname()} ({self._node}, process {os.getpid()})"
        self._worker = Worker(self._where)

    def report(self) -> WorkerReport:
        """What is here."""
        probe = self._order.probe
        own = probe.with_name(f"{probe.name}-{self._node}-{os.getpid()}")
        writes = ""
        try:
            own.write_bytes(b"written")
            own.unlink()
        except OSError as error:
            writes = error.strerror or str(error)
        return WorkerReport(
            self._where,
            self._node,
            os.getpid(),
            versions_here(),
            probe.exists(),
            writes,
            str(cache_dir()),
        )

    def work(self, request: Any) -> WorkerAnswer:
        """Run a piece or a call. Defects are raised."""
        try:
            return WorkerAnswer(request.run(self._worker))
        except HubelError as error:
            return WorkerAnswer(error=error)


def versions_here() -> dict[str, str]:
    """What decides results in this process: versions, and the hash of hubel's own code."""
    found = {
        "hubel": f"{__version__} (code {code_digest(*(ROOT / part for part in CODE))[:8]})",
        "Python": sys.version.split()[0],
    }
    for package in OTHER_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def check_report(report: WorkerReport, expected: dict[str, str], shared: Path) -> None:
    """Raise UnfitWorker, with what to do, for a worker that would not do as this process does."""
    other = [
        f"{name} {report.versions.get(name)} instead of {value}"
        for name, value in expected.items()
        if report.versions.get(name) != value
    ]
    if other:
        raise UnfitWorker(
            f"{report.where} has {', '.join(other)}: install the same on all nodes, and restart them"
        )
    if not report.sees:
        raise UnfitWorker(
            f"{report.where} does not see {shared}: outputs must be in a folder that all nodes share"
        )
    if report.writes:
        raise UnfitWorker(
            f"{report.where} cannot write to {shared} ({report.writes}): make it writable and make room"
        )
