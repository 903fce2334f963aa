"""Answers of a model server that are made to fill the memory, or to take forever.

A separate process asks for each bomb, eight times side by side as the investigations of a run would.
Each question must end as an error of one line or as a reply, in time, and the whole process must
stay under MEMORY_MB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import get_args

from ...agent.llm import Patience, make_model
from ...agent.llm.conversation import Request, ToolSchema, UserMessage
from ...agent.llm.errors import ModelError
from ...agent.runlog.model_config import ModelConfig
from ..loopback.wires import Provider
from .hostile_server import (
    HostileServer,
    Respond,
    answering,
    gzipped,
    reply,
    sending,
    without_end,
)

MEMORY_MB = 1000
SIDE_BY_SIDE = 8
ATTEMPT_S = 10.0
"""Deadline of an attempt here, so that a soak does not wait for ten minutes."""
LONGEST_S = 90.0
"""Of all questions of one bomb: two attempts, with the work of eight questions on a busy machine."""
_MEBIBYTE = b" " * (1 << 20)
_CHUNK = b"100000\r\n" + _MEBIBYTE + b"\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"


@dataclass
class BombTally:
    """What the bombs did."""

    bombs: int = 0
    crashes: int = 0
    """Processes in which a question ended neither as a reply nor as an error of one line."""
    late: int = 0
    """Bombs whose questions took longer than LONGEST_S."""
    peak_mb: float = 0.0
    """The largest memory of a process that asked."""
    notes: list[str] = field(default_factory=list)


def _compressed(coding: str, parts: Callable[[], Iterable[bytes]]) -> Respond:
    head = _HEAD + f"content-encoding: {coding}\r\n\r\n".encode()
    return sending(lambda: chain((head,), parts()))


def _with_arguments(provider: Provider, values: str) -> bytes:
    """A reply whose tool call's arguments are replaced by other JSON."""
    whole = json.dumps(reply(provider, "x", ["VALUES"]))
    if provider == "openai":  # arguments are JSON in a string
        return whole.replace(json.dumps('"VALUES"'), json.dumps(values)).encode()
    return whole.replace('"VALUES"', values).encode()


def bombs(provider: Provider) -> dict[str, Respond]:
    """All bombs by name."""
    inner = b"".join(gzipped(_MEBIBYTE, 3000))
    return {
        "body of 3 GB": without_end(_HEAD + b"content-length: 3000000000\r\n\r\n", _MEBIBYTE),
        "endless chunks": without_end(_HEAD + b"transfer-encoding: chunked\r\n\r\n", _CHUNK),
        "endless error": without_end(b"HTTP/1.1 500 Bad\r\n\r\n", b"<" * (1 << 20)),
        "endless headers": without_end(_HEAD, b"x-header: " + b"y" * 1000 + b"\r\n"),
        "endless informational responses": without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
        "gzip": _compressed("gzip", lambda: gzipped(_MEBIBYTE, 3000)),
        "gzip twice": _compressed("gzip, gzip", lambda: gzipped(inner, 1)),
        "one byte a while": without_end(_HEAD + b"content-length: 9999999\r\n\r\n", b" ", 0.5),
        "header by bytes": without_end(_HEAD, b"x", 0.5),
        "100,000 calls": answering(reply(provider, "", [{}] * 100_000)),
        "long text": answering(reply(provider, "x" * (7 << 20))),
        "escaped text": answering(reply(provider, "\ud800" * (1 << 20))),
        "long arguments": answering(reply(provider, "", [{"a": "x" * (7 << 20)}])),
        "many values": answering(_with_arguments(provider, "[" + "{}," * (2 << 20) + "{}]")),
        "many keys": answering(
            _with_arguments(provider, "{" + ",".join(f'"{i}":{i}' for i in range(400_000)) + "}")
        ),
        "deep": answering(_with_arguments(provider, "[" * (7 << 20))),
        "deep and closed": answering(_with_arguments(provider, "[" * 900 + "]" * 900)),
        "long number": answering(_with_arguments(provider, "1" * (7 << 20))),
        "list of models": answering({"data": [{"id": "m" * 1000}] * 7000}),
    }


def drop_bombs(report: Callable[[int, int], None], names: Iterable[str] = ()) -> BombTally:
    """Ask for every bomb over both protocols, or only for those of some names."""
    tally = BombTally()
    chosen = [
        (provider, name, respond)
        for provider in get_args(Provider)
        for name, respond in bombs(provider).items()
        if not names or name in names
    ]
    for number, (provider, name, respond) in enumerate(chosen):
        report(number, len(chosen))
        _drop(provider, name, respond, tally)
    return tally


def _drop(provider: Provider, name: str, respond: Respond, tally: BombTally) -> None:
    tally.bombs += 1
    with HostileServer(respond) as server:
        url = server.url if provider == "openai" else server.url.removesuffix("/v1")
        command = [sys.executable, "-m", __name__, provider, url]
        try:
            process = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=LONGEST_S
            )
        except subprocess.TimeoutExpired:
            tally.late += 1
            tally.notes.append(f"{provider}, {name}: not answered after {LONGEST_S:.0f} s")
            return
    if process.returncode:
        tally.crashes += 1
        tally.notes.append(f"{provider}, {name}: {process.stderr[-300:]}")
        return
    peak_mb = float(process.stdout)
    tally.peak_mb = max(tally.peak_mb, peak_mb)
    if peak_mb > MEMORY_MB:
        tally.notes.append(f"{provider}, {name}: {peak_mb:.0f} MB")


def ask(provider: str, url: str) -> None:
    """Ask one server side by side, and print this process's peak memory in MB.

    An error of more than one line ends the process with status 1.
    """
    tool = ToolSchema("ready", "Says that you are ready.", {"type": "object", "properties": {}})
    request = Request("system", (UserMessage("hello"),), (tool,))
    config = ModelConfig(f"{provider}:bomb", url)
    model = make_model(config, Patience(0.1, first_pause_s=0.01), ATTEMPT_S)

    def error_of(_: int) -> str:
        try:
            json.dumps(model.reply(request).to_json())
        except ModelError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        errors = set(pool.map(error_of, range(SIDE_BY_SIDE)))
    model.close()
    if long_errors := [error for error in errors if "\n" in error]:
        sys.exit(f"an error of more than one line: {long_errors[0]!r}")
    sys.stdout.write(f"{_peak_mb()}\n")


def _peak_mb() -> float:
    """This process's largest memory. `getrusage` would include the parent's before exec."""
    if (status := Path("/proc/self/status")).exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    ask(*sys.argv[1:])
