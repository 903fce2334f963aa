"""A disk that fills up is one line, at every size, and never the end of the process (SIGBUS)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import checkout_environment

SCRIPT = """
import subprocess, sys
from pathlib import Path
from hubel.tools.errors import UnavailableError
from hubel.tools.index import Index, build_index, collect
from hubel.tools.subject.address import Unit
from tests.support.tiny import tiny_subject
from tests.tools.index.conftest import CONTEXT_LEN, small_corpus

folder, subject = Path(sys.argv[1]), tiny_subject()
build_index(subject, small_corpus(), folder / "i", context_len=CONTEXT_LEN)
index, units = Index.open(folder / "i"), [Unit("mlp", 1, n) for n in range(24)]
disk = folder / "disk"
for kilobytes in map(int, sys.argv[2:]):
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], check=True)
    try:
        collect(subject, index, units, disk / "collected")
        print(kilobytes, "done", flush=True)
    except UnavailableError as error:
        print(kilobytes, error, flush=True)
    left = list(disk.rglob("*.part-*"))
    subprocess.run(["umount", disk], check=True)
    assert not left, left
"""


def namespaces_work() -> bool:
    """Whether this user may mount a file system."""
    try:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not namespaces_work(), reason="needs user namespaces, to mount a small disk")
def test_a_disk_that_fills_up_while_collecting_is_one_line(tmp_path: Path) -> None:
    sizes = [8, 24, 40, 64, 80, 96, 128, 4000]
    process = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", SCRIPT, str(tmp_path), *map(str, sizes)],
        env=checkout_environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-800:]
    outcomes = dict(line.split(" ", 1) for line in process.stdout.splitlines())
    assert list(map(int, outcomes)) == sizes
    assert outcomes["4000"] == "done"
    full = [outcome for outcome in outcomes.values() if "no space is left on the disk" in outcome]
    assert len(full) >= 5
    assert all("collected" in outcome for outcome in full)
