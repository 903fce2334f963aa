"""Runs a command in its own process, and says what it took.

The system counts a process's peak memory from that of the process which started it, as it was at
that moment. So the command is started by a small Python in between, and not by this one, which may
have loaded a subject.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...tools.errors import UnavailableError

_STARTER = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    print(status, usage.ru_maxrss, usage.ru_utime + usage.ru_stime, file=file)
"""


class ProcessCost(NamedTuple):
    """What one process and those that it started took; `output` is its standard output."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run_process(command: Sequence[str], environment: dict[str, str]) -> ProcessCost:
    """Run a command to its end, and say what it took.

    Raises:
        UnavailableError: its exit status is not 0.
    """
    with tempfile.TemporaryDirectory(prefix="hubel-process-") as folder:
        out, errors, usage = (Path(folder) / name for name in ("out", "errors", "usage"))
        started = time.perf_counter()
        with out.open("wb") as out_file, errors.open("wb") as errors_file:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _STARTER, str(usage), *command],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=errors_file,
                env=environment,
                start_new_session=True,
            )
            try:
                process.wait()
            except (
                BaseException
            ):  # Ctrl-C too: end it before the folder that it writes to is deleted
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        wall = time.perf_counter() - started
        status, peak, cpu = usage.read_text().split() if usage.exists() else ("no status", "0", "0")
        if status != "0":
            printed = (_text(errors).strip() or _text(out).strip()).rpartition("\n")[2][-400:]
            raise UnavailableError(f"`{' '.join(command)}` ended with {status}: {printed}")
        kilobytes = int(peak) / (1024 if sys.platform == "darwin" else 1)
        return ProcessCost(wall, float(cpu), kilobytes / 1024, _text(out))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")
