"""How fast is the review page on a run of many targets? Measured over HTTP on a server in its own
process.

1. Write a run (`synthetic_run`), unless it exists.
2. Start `hubel review` on it; measure the time until it answers, then the time until it has read
   the log.
3. Send each kind of request several times; report the median and the slowest time, and the server's
   peak memory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np

from ..agent.review.target_list import SORTS
from ..agent.runlog.layout import CONFIG
from ..agent.runlog.progress import Reporter
from .synthetic_run import NEURONS, make_run

LIMITS_MS = {
    "page up": 1000,
    "first page": 300,
    "sort": 500,
    "filter": 500,
    "target": 200,
    "search": 1000,
}
WAYS = ("asc", "desc")
MEMORY_MB = 1024
WAIT_S = 1800
"""Seconds to wait until the log is read."""


class Timing(NamedTuple):
    """One row of the table: milliseconds that requests took, and the limit."""

    what: str
    requests: int
    median_ms: float
    slowest_ms: float
    cpu_ms: float | None
    """Mean CPU time of the server per request, which a busy machine does not change."""
    limit_ms: float | None


class ReviewSpeed(NamedTuple):
    """How fast the page of one run is."""

    targets: int
    timings: list[Timing]
    read_seconds: float
    """Seconds from the first request until the whole log was read."""
    peak_mb: float | None
    """Peak memory of the server; None where the system does not report it."""


def review_speed(folder: Path, targets: int, reporter: Reporter, seed: int = 0) -> ReviewSpeed:
    """Measure the page of the synthetic run in a folder, which is written first if it does not exist."""
    if not (folder / CONFIG).exists():
        make_run(folder, targets, reporter=reporter)
    from ..agent.review.store.database import Store

    Store(folder).clear()
    reporter.say("starting the server")
    with _server(folder) as (client, process, up_ms):
        started = time.perf_counter()
        client("/")
        while (row := client.json("/api/runs")["runs"][0])["notice"]:
            if time.perf_counter() - started > WAIT_S:
                raise TimeoutError(f"the log was not read in {WAIT_S} s: {row['notice']}")
            time.sleep(0.5)
        read = time.perf_counter() - started
        reporter.say(f"read in {read:.0f} s; measuring")
        timings = [Timing("page up", 1, up_ms, up_ms, None, LIMITS_MS["page up"])]
        timings += [
            _timed(client, process.pid, kind, groups)
            for kind, groups in _requests(folder.name, targets, seed).items()
        ]
        return ReviewSpeed(targets, timings, read, _peak_mb(process.pid))


def _requests(run: str, targets: int, seed: int) -> dict[str, list[list[str]]]:
    """Requests of each kind; several paths in one entry are sent in turn and count as one."""
    base = f"/api/runs/{quote(run)}"
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, targets, 30)
    pages = [f"{base}/targets/mlp.{number // NEURONS}.{number % NEURONS}" for number in drawn]
    listed = f"{base}/targets?limit=100"
    filters = (
        "verdict=kept", "layer=3,10", "offset=90000", "site=mlp&side=both", "r_min=0.4&drop_min=0.02", "review=none",
        "status=done",
        "verdict=kept,rejected&layer=1&sort=r&dir=desc", "q=fires", "q=fires%20strongly&sort=r&dir=desc",
    )  # fmt: skip
    words = ("fires", "a", "propose", "taken", "strongest h1", "zzzz", "b")
    return {
        "first page": [["/api/runs", base, listed]] * 5,
        "sort": [[f"{listed}&sort={name}&dir={way}"] for name, way in product(SORTS, WAYS)],
        "filter": [[f"{listed}&{query}"] for query in filters],
        "target": [[page] for page in pages],
        "predicted": [[f"{page}/predicted"] for page in pages[:10]],
        "transcript": [[f"{page}/transcript"] for page in pages[:10]],
        "search": [[f"{base}/search?q={quote(word)}"] for word in words],
    }


class _Client:
    """Sends requests to the server, as a browser that has opened the page."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._base, token = f"{parts.scheme}://{parts.netloc}", parts.query.partition("=")[2]
        self._cookie = f"hubel-{parts.port}={token}"

    def __call__(self, path: str) -> float:
        """Send one request; returns its milliseconds."""
        started = time.perf_counter()
        self._read(path)
        return 1000 * (time.perf_counter() - started)

    def json(self, path: str) -> dict:
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        request = urllib.request.Request(self._base + path, headers={"cookie": self._cookie})
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.read()


def _timed(client: _Client, pid: int, kind: str, groups: Sequence[Sequence[str]]) -> Timing:
    before = _cpu_ms(pid)
    times = [sum(map(client, group)) for group in groups]
    after = _cpu_ms(pid)
    cpu = None if before is None or after is None else (after - before) / len(times)
    return Timing(kind, len(times), median(times), max(times), cpu, LIMITS_MS.get(kind))


def _cpu_ms(pid: int) -> float | None:
    """CPU time that a process has used, in milliseconds; None where the system does not report it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(folder: Path) -> Iterator[tuple[_Client, subprocess.Popen[str], float]]:
    """`hubel review` of one run, with the milliseconds from its start to its first answer."""
    package = __package__.split(".")[0] if __package__ else "hubel"
    options = ["--no-browser", "--port", "0", "--json"]
    command = [sys.executable, "-m", package, "review", str(folder), *options]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        client = _Client(
            json.loads(process.stdout.readline() if process.stdout else "{}")["review"]
        )
        client("/api/live")
        yield client, process, 1000 * (time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait()


def _peak_mb(pid: int) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) / 1024 if peak else None
