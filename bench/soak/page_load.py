"""The review page under attack and under load: does another person still see it at once?

1. Start `hubel review` on a synthetic run, with the number of open files that most systems allow.
2. A process opens connections that never finish a request (silent ones, half of a head, half of a
   body, an answer that is not read) and opens each again when the server closes it. A second one sends
   thousands of requests as fast as they are answered.
3. Meanwhile a visitor opens the page again and again, each time on a new connection, and is timed.

The folder also has bombs: runs with a small file that would take gigabytes (a table that names one
text many times, a packed lexicon, a sparse configuration, a deeply nested circuit). Every list of runs
reads them, and their own pages are opened at the end, before the server's memory is measured.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

RUN = "synthetic"
USUAL_OPEN_FILES = 1024
"""The soft limit of open files on most Linux systems (256 on macOS)."""
SIDE_BY_SIDE = 64
"""Connections of the load: ten browsers with six each."""
SLOWEST_MS = 1000
MEMORY_MB = 1024
STDERR_BYTES = 10_000
"""What the server may print meanwhile: a few lines, not a traceback for each connection."""
FAILURES = (OSError, http.client.HTTPException, ValueError)
"""What a visit that fails raises."""


@dataclass(frozen=True)
class PageLoad:
    """What a visitor saw while the page was attacked and loaded."""

    half_open: int
    requests: int
    answered: int
    """Requests of the load that were answered with 200."""
    visits: int
    failed_visits: int
    median_ms: float
    p99_ms: float
    slowest_ms: float
    peak_mb: float
    """Of the server; 0 where the system does not report it."""
    stderr_bytes: int


class _PageAddress(NamedTuple):
    host: str
    port: int
    cookie: str
    pid: int
    stderr: Path


def load_page(folder: Path, half_open: int, requests: int, *, targets: int = 200) -> PageLoad:
    """Attack and load the page of a synthetic run, and time a visitor."""
    from ..synthetic_run import make_run

    make_run(folder / "runs" / RUN, targets)
    bombs = _make_bombs(folder / "runs", folder / "runs" / RUN)
    with _serving(folder) as server:
        for path in _PATHS:  # the first requests read the log and import modules
            _visit(server, path)
        with (
            _client("attack", server, half_open) as attack,
            _client("load", server, requests) as load,
        ):
            times, failed = _visit_while(load, server)
            answered = int(load.communicate()[0])
            attack.terminate()
        failed += _open_bombs(server, bombs)
        return PageLoad(
            half_open=half_open,
            requests=requests,
            answered=answered,
            visits=len(times) + failed,
            failed_visits=failed,
            median_ms=_quantile(times, 0.5),
            p99_ms=_quantile(times, 0.99),
            slowest_ms=max(times, default=0.0),
            peak_mb=_peak_mb(server.pid),
            stderr_bytes=server.stderr.stat().st_size,
        )


_PATHS = (
    "/",
    "/static/app.js",
    "/api/runs",
    f"/api/runs/{RUN}",
    f"/api/runs/{RUN}/targets?limit=100",
    f"/api/runs/{RUN}/targets/mlp.0.7",
)


def _make_bombs(runs: Path, run: Path) -> list[str]:
    """Copies of a run with a file that would take gigabytes; returns their names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["bomb-table", "bomb-lexicon", "bomb-config", "bomb-circuit"]
    table, lexicon, config, circuit = (Path(shutil.copytree(run, runs / name)) for name in names)
    rows = 5000
    columns = {name: pa.array(["failure"] * rows) for name in ("time", "event", "target", "id")}
    columns["seq"] = pa.array(range(rows))
    columns["data"] = pa.DictionaryArray.from_arrays([0] * rows, [f'{{"error":"{"x" * 400_000}"}}'])
    pq.write_table(pa.table(columns), table / "events" / "9999-1.parquet", store_schema=False)
    packed = gzip.compress(b'{"format":2,"strings":["' + b"x" * (1 << 28), 1)
    (lexicon / "lexicon" / "lexicon.json.gz").write_bytes(packed)
    os.truncate(config / "config.toml", 1 << 40)
    (circuit / "config.toml").write_text('kind = "circuit"\ntask = "x"\n')
    (circuit / "circuit.json").write_text("[" * (8 << 20))
    return names


def _open_bombs(server: _PageAddress, names: list[str]) -> int:
    """Open the pages of runs that are bombs; returns how many were not answered."""
    failed = 0
    for name in names:
        base = f"/api/runs/{name}"
        for path in (base, f"{base}/targets", f"{base}/targets/mlp.0.7", f"{base}/circuit"):
            try:
                failed += _status(server, path) >= 500
            except FAILURES:
                failed += 1
    return failed


def _visit_while(load: subprocess.Popen[str], server: _PageAddress) -> tuple[list[float], int]:
    """Milliseconds of the visits that succeeded, and how many failed, until the load has ended."""
    times: list[float] = []
    failed = 0
    while load.poll() is None:
        path = _PATHS[(len(times) + failed) % len(_PATHS)]
        started = time.perf_counter()
        try:
            _visit(server, path)
            times.append(1000 * (time.perf_counter() - started))
        except FAILURES:
            failed += 1
        time.sleep(0.02)
    return times, failed


def _visit(server: _PageAddress, path: str) -> None:
    """Open one address; raises ValueError if it is not shown."""
    status = _status(server, path)
    if status != 200:
        raise ValueError(f"{path} was answered with {status}")


def _status(server: _PageAddress, path: str) -> int:
    """Read one address on a new connection; returns the status."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request("GET", path, headers={"cookie": server.cookie})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def _quantile(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@contextmanager
def _serving(folder: Path) -> Iterator[_PageAddress]:
    package = __package__.split(".")[0] if __package__ else "hubel"
    options = ["--runs", str(folder / "runs"), "--no-browser", "--port", "0", "--json"]
    stderr = folder / "server.log"

    def limit_files() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(USUAL_OPEN_FILES, hard), hard))

    with stderr.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", package, "review", *options],
            stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=limit_files,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        address = urlsplit(json.loads(process.stdout.readline())["review"])
        assert address.hostname
        assert address.port
        cookie = f"hubel-{address.port}={address.query.partition('=')[2]}"
        yield _PageAddress(address.hostname, address.port, cookie, process.pid, stderr)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
        process.stdout.close()


@contextmanager
def _client(work: str, server: _PageAddress, number: int) -> Iterator[subprocess.Popen[str]]:
    program = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
    arguments = [work, f"{server.host}:{server.port}", server.cookie, str(number)]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) / 1024 if peak else 0.0


# ---------------------------------------------------------------- the two processes


def _unfinished(host: str, cookie: str) -> list[bytes]:
    """What connections send that never finish a request, or never read their answer."""
    head = f"Host: {host}\r\nCookie: {cookie}\r\n"
    body = "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    return [
        b"",
        f"GET / HTTP/1.1\r\n{head}".encode(),
        f"POST /api/runs/{RUN}/targets/mlp.0.7/reviews HTTP/1.1\r\n{head}{body}".encode(),
        f"GET /api/runs/{RUN}/targets?limit=1000 HTTP/1.1\r\n{head}\r\n".encode(),
    ]


async def _attack(host: str, port: int, cookie: str, number: int) -> None:
    """Keep this many unfinished connections open, for ever."""
    starts = _unfinished(f"{host}:{port}", cookie)

    async def hold(start: bytes) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port, limit=1)
                writer.write(start)
                if start.endswith(b"\r\n\r\n"):
                    await asyncio.sleep(30)  # without reading the answers
                await reader.read()  # until the server closes it
                writer.close()
            await asyncio.sleep(0.5)

    await asyncio.gather(*(hold(starts[i % len(starts)]) for i in range(number)))


async def _load(host: str, port: int, cookie: str, number: int) -> int:
    """Send this many requests, side by side; returns how many were answered with 200."""
    numbers = iter(range(number))

    async def work() -> int:
        answered = 0
        reader = writer = None
        for i in numbers:
            path = _PATHS[i % len(_PATHS)]
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(host, port)
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode()
                )
                assert reader is not None
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                answered += head.startswith(b"HTTP/1.1 200")
            except (OSError, asyncio.IncompleteReadError):
                reader = writer = None
        return answered

    return sum(await asyncio.gather(*(work() for _ in range(SIDE_BY_SIDE))))


def main(work: str, address: str, cookie: str, number: str) -> None:
    """One of the two processes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(10_000, hard), hard))
    host, _, port = address.rpartition(":")
    if work == "attack":
        asyncio.run(_attack(host, int(port), cookie, int(number)))
    else:
        sys.stdout.write(f"{asyncio.run(_load(host, int(port), cookie, int(number)))}\n")
