"""How fast the review page is on a run of many targets: a real server in a process of its own,
asked over HTTP.

1. A run is made (`made_run`), unless it is there already.
2. `hubel review` is started on it: the time until it answers is measured, then the time until it
   has read the log.
3. Each kind of request is made several times; the median and the slowest are reported, with the
   server's peak memory.
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
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np

from ..agent.review.target_list import SORTS
from ..agent.runlog.layout import CONFIG
from ..agent.runlog.progress import Reporter
from .synthetic_run import make_run

LIMITS_MS = {
    "page up": 1000,
    "first page": 300,
    "sort": 500,
    "filter": 500,
    "target": 200,
    "search": 1000,
}
MEMORY_MB = 1024
WAIT_S = 1800


class Timing(NamedTuple):
    """One row of the table: milliseconds that requests took, and the most that one may take."""

    what: str
    requests: int
    median_ms: float
    slowest_ms: float
    cpu_ms: float | None
    """Processor time of the server for one, on average: what a busy machine does not change."""
    limit_ms: float | None


class ReviewSpeed(NamedTuple):
    """How fast the page of one run is."""

    targets: int
    timings: list[Timing]
    read_seconds: float
    """From the first request until the whole log was read."""
    peak_mb: float | None
    """Of the server's process; None where the system does not say."""


def review_speed(folder: Path, targets: int, reporter: Reporter, seed: int = 0) -> ReviewSpeed:
    """Measure the page of a made run in this folder, which is made if it is not there."""
    if not (folder / CONFIG).exists():
        make_run(folder, targets, reporter=reporter)
    from ..agent.review.store.database import Store

    Store(folder).clear()
    reporter.say("starting the server")
    with _server(folder) as (asked, process, up_ms):
        started = time.perf_counter()
        asked("/")
        while (row := asked.json("/api/runs")["runs"][0])["notice"]:
            if time.perf_counter() - started > WAIT_S:
                raise TimeoutError(f"the log was not read in {WAIT_S} s: {row['notice']}")
            time.sleep(0.5)
        read = time.perf_counter() - started
        reporter.say(f"read in {read:.0f} s; measuring")
        timings = [Timing("page up", 1, up_ms, up_ms, None, LIMITS_MS["page up"])]
        timings += [
            _timed(asked, process.pid, kind, groups)
            for kind, groups in _requests(folder.name, targets, seed).items()
        ]
        return ReviewSpeed(targets, timings, read, _peak_mb(process.pid))


def _requests(run: str, targets: int, seed: int) -> dict[str, list[list[str]]]:
    """Kind to what is asked; several paths in one entry are asked one behind the other and count as one."""
    base = f"/api/runs/{quote(run)}"
    rng = np.random.default_rng(seed)
    some = [f"{base}/targets/mlp.{i // 1536}.{i % 1536}" for i in rng.integers(0, targets, 30)]
    listed = f"{base}/targets?limit=100"
    filters = (
        "verdict=kept", "layer=3,10", "offset=90000", "site=mlp&side=both", "r_min=0.4&drop_min=0.02", "review=none",
        "status=done",
        "verdict=kept,rejected&layer=1&sort=r&dir=desc", "q=fires", "q=fires%20strongly&sort=r&dir=desc",
    )  # fmt: skip
    words = ("fires", "a", "propose", "taken", "strongest h1", "zzzz", "b")
    return {
        "first page": [["/api/runs", base, listed]] * 5,
        "sort": [
            [f"{listed}&sort={name}&dir={direction}"]
            for name in SORTS
            for direction in ("asc", "desc")
        ],
        "filter": [[f"{listed}&{one}"] for one in filters],
        "target": [[path] for path in some],
        "predicted": [[f"{path}/predicted"] for path in some[:10]],
        "transcript": [[f"{path}/transcript"] for path in some[:10]],
        "search": [[f"{base}/search?q={quote(word)}"] for word in words],
    }


class _Asked:
    """Asks the server, as a browser that has opened it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._base, token = f"{parts.scheme}://{parts.netloc}", parts.query.partition("=")[2]
        self._cookie = f"hubel-{parts.port}={token}"

    def __call__(self, path: str) -> float:
        """Milliseconds of one request."""
        started = time.perf_counter()
        self._read(path)
        return 1000 * (time.perf_counter() - started)

    def json(self, path: str) -> dict:
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        request = urllib.request.Request(self._base + path, headers={"cookie": self._cookie})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()


def _timed(asked: _Asked, pid: int, kind: str, groups: Sequence[Sequence[str]]) -> Timing:
    before = _cpu_ms(pid)
    found = [sum(asked(path) for path in group) for group in groups]
    after = _cpu_ms(pid)
    spent = None if before is None or after is None else (after - before) / len(found)
    return Timing(kind, len(found), median(found), max(found), spent, LIMITS_MS.get(kind))


def _cpu_ms(pid: int) -> float | None:
    """Processor time that a process has used; None where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(folder: Path) -> Iterator[tuple[_Asked, subprocess.Popen[str], float]]:
    """`hubel review` of one run; with the milliseconds from its start to its first answer."""
    package = __package__.split(".")[0] if __package__ else "hubel"
    command = [
        sys.executable,
        "-m",
        package,
        "review",
        str(folder),
        "--no-browser",
        "--port",
        "0",
        "--json",
    ]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        asked = _Asked(json.loads(process.stdout.readline() if process.stdout else "{}")["review"])
        asked("/api/live")
        yield asked, process, 1000 * (time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait()


def _peak_mb(pid: int) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else None
