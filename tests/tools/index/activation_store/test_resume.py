"""Whatever was begun, and wherever it was killed, the same store comes out, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import checkout_environment

from .builds import build, files, stop_after

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

KILLED_CALLS = ("pwrite", "fsync", "replace", "rename", "unlink", "rmdir")
"""Calls of the system that change the disk."""
SCRIPT = """
import os, shutil, signal, sys
from pathlib import Path
from tests.support.tiny import tiny_subject
from tests.tools.index.activation_store.builds import build, files
from tests.tools.index.activation_store.test_resume import KILLED_CALLS

subject, folder, number, parts = tiny_subject(), Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
finished_first = parts == "store"

def start(name):
    if finished_first:
        build(subject, folder / name, "none")

def child(work):
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]

def counted(kill_at=None):
    n = 0
    def wrap(call):
        def counting(*args, **options):
            nonlocal n
            n += 1
            if n == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)
        return counting
    for name in KILLED_CALLS:
        setattr(os, name, wrap(getattr(os, name)))
    return lambda: n

def count():
    calls = counted()
    build(subject, folder / "whole")
    (folder / "calls").write_text(str(calls()))

start("whole")
child(count)
calls, whole = int((folder / "calls").read_text()), files(folder / "whole")
print("calls", calls)
killed = 0
for k in range(number):
    at = 1 + k * (calls - 1) // max(number - 1, 1)
    out = folder / "killed"
    start("killed")
    status = child(lambda: (counted(at), build(subject, out)))
    killed += os.WIFSIGNALED(status)
    build(subject, out)
    present = files(out)
    differing = [n for n in present.keys() | whole if present.get(n) != whole.get(n)]
    assert not differing, (at, differing)
    shutil.rmtree(out)
print("same", killed)
"""


@pytest.fixture(scope="module")
def whole(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "i"
    assert build(tiny, folder) == []
    return files(folder)


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["index and store", "store"])
def test_a_pass_killed_before_any_write_ends_the_same(tmp_path: Path, parts: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "12", parts],
        env=checkout_environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.splitlines()[-1] == "same 12"


def test_an_interrupted_build_ends_the_same(
    tiny: Subject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(tiny, tmp_path / "i", progress=stop_after(2500))
    assert build(tiny, tmp_path / "i") == []
    assert files(tmp_path / "i") == whole


def test_a_finished_index_gets_its_store_and_keeps_its_files(
    tiny: Subject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    build(tiny, tmp_path / "i", "none")
    before = files(tmp_path / "i")
    description = (tmp_path / "i" / "index.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        build(tiny, tmp_path / "i", "all", stop_after(2500))
    assert build(tiny, tmp_path / "i", "auto") == []
    assert files(tmp_path / "i") == whole
    assert before.items() <= whole.items()
    assert (tmp_path / "i" / "index.json").read_bytes() == description
    read: list[object] = []
    assert build(tiny, tmp_path / "i", "all", read.append) == []
    assert not read, "nothing is missing"


@pytest.mark.parametrize("tokens", [600, 2500, 4900])
def test_a_build_begun_without_a_store_gets_one_afterwards(
    tiny: Subject, whole: dict[str, bytes], tmp_path: Path, tokens: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tiny, tmp_path / "i", "none", stop_after(tokens))
    notes = build(tiny, tmp_path / "i", "all")
    if tokens == 2500:  # in the middle of explore
        assert "an earlier start of the index made no store" in notes[0]
    assert files(tmp_path / "i") == whole


def test_a_build_resumed_without_a_store_has_none(tiny: Subject, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tiny, tmp_path / "i", "all", stop_after(4900))
    assert (tmp_path / "i" / "store" / "explore" / "store.json").exists()
    assert build(tiny, tmp_path / "i", "none") == []
    assert not (tmp_path / "i" / "store").exists()


def test_a_build_resumed_with_other_layers_has_those(tiny: Subject, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tiny, tmp_path / "i", "all", stop_after(4900))
    (note, *_) = build(tiny, tmp_path / "i", [0, 2])
    assert "was begun with other layers" in note
    build(tiny, tmp_path / "direct", [0, 2])
    assert files(tmp_path / "i") == files(tmp_path / "direct")
    (note,) = build(tiny, tmp_path / "i", [0, 1])
    assert "does not have layer 1; to make it again, delete" in note


@pytest.mark.parametrize("damage", ["cut", "longer", "flipped", "missing"])
def test_a_damaged_shard_is_made_again(
    tiny: Subject, whole: dict[str, bytes], tmp_path: Path, damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tiny, tmp_path / "i", "all", stop_after(2500))
    shard = tmp_path / "i" / "store" / "explore" / "mlp_in-1" / "00000.bin"
    content = bytearray(shard.read_bytes())
    if damage == "missing":
        shard.unlink()
    elif damage == "flipped":
        content[7] ^= 1
        shard.write_bytes(content)
    else:
        shard.write_bytes(content[:100] if damage == "cut" else content + b"more")
    notes = build(tiny, tmp_path / "i")
    if damage != "longer":  # what follows the checkpoint is cut off in any case
        assert "is written again in a separate pass" in notes[0]
        assert "mlp_in-1/00000.bin is not what was written" in notes[0]
    assert files(tmp_path / "i") == whole
