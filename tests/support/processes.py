"""The environment of the processes that tests start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def checkout_environment() -> dict[str, str]:
    """This process's environment, in which a new Python imports `hubel` and `tests` from where this one does.

    The search path is handed on as it is, because `hubel` may be this folder (when it is called so),
    a link to it or the installed package, and only the running tests know which of them they test.
    """
    path = os.pathsep.join([str(CHECKOUT), *sys.path])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a new Python with that environment, for two minutes at most."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=checkout_environment(),
        timeout=120,
        check=False,
    )
