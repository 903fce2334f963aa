"""A disk that fills up costs the store, and never the index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hubel.tools.errors import UsageError
from tests.support.processes import checkout_environment
from tests.tools.index.test_full_disk import namespaces_work

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

SCRIPT = """
import shutil, subprocess, sys
from pathlib import Path
from hubel.tools.index.activation_store import folder
from tests.support.tiny import tiny_subject
from tests.tools.index.activation_store.builds import build, files

disk, subject, room_at_start = Path(sys.argv[1]) / "disk", tiny_subject(), int(sys.argv[2])
build(subject, Path(sys.argv[1]) / "without", "none")
without = files(Path(sys.argv[1]) / "without")
for kilobytes in map(int, sys.argv[3:]):
    disk.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room_at_start}k", "tmpfs", disk]
    subprocess.run(mount, check=True)
    full = []
    def fill(progress):
        # Somebody else takes the room when the pass has begun.
        if not full:
            full.append((disk / "full").write_bytes(bytes((room_at_start - kilobytes) * 1024)))
    notes = build(subject, disk / "i", "all", fill)
    stored = (disk / "i" / "store").exists()
    present = {k: v for k, v in files(disk / "i").items() if not k.startswith("store/")}
    print(kilobytes, stored, present == without, "|".join(notes), flush=True)
    subprocess.run(["umount", disk], check=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not namespaces_work(), reason="needs user namespaces, to mount a small disk")
def test_the_index_goes_on_without_a_store(tmp_path: Path) -> None:
    sizes = [900, 1000, 1100, 1200, 1400, 4000]
    command = ["unshare", "-rm", sys.executable, "-c", SCRIPT, str(tmp_path), "8000"]
    process = subprocess.run(
        [*command, *map(str, sizes)],
        env=checkout_environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    lines = [line.split(" ", 3) for line in process.stdout.splitlines()]
    assert [int(size) for size, *_ in lines] == sizes
    assert all(same == "True" for _, _, same, _ in lines), "the index is the same"
    assert lines[-1][1:] == ["True", "True", ""]
    given_up = [notes for _, stored, _, notes in lines if stored == "False"]
    assert len(given_up) >= 3
    for notes in given_up:
        assert notes.count("the index goes on without an activation store: the disk is full") == 1


def test_a_store_that_cannot_fit_is_refused_before_the_pass(tiny: Subject, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    # No disk has room for this many tokens of this subject; nothing is read.
    import torch

    from hubel.tools.index.activation_store.folder import StoreFolder
    from hubel.tools.index.activation_store.layout import StoreOrigin
    from hubel.tools.index.activation_store.plan import plan_store

    plan = plan_store(tiny, torch.ones((1, 8), dtype=torch.long), [0, 1])
    lines: list[str] = []
    origin = StoreOrigin("s", "float32", "c", "t", "explore")
    stores = StoreFolder(tiny, tmp_path, plan, origin, lines.append, lines.append)
    with pytest.raises(UsageError, match=r"the activation store takes .*, more than the .* free"):
        stores.begin("all", 10**15)
    stores.begin("auto", 10**15)
    assert "more than a quarter of the" in lines[0]
    assert stores.missing() == []
    assert not list(tmp_path.iterdir())
