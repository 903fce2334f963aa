"""What goes wrong on a real cluster of several nodes: each is one line, and the same command goes on."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from hubel.bench.soak.kill_shards import index_files
from hubel.bench.tiny_subject import miniature
from tests.support.ray_nodes import RayNodes, environment, ray_nodes
from tests.tools.index.test_full_disk import namespaces_work

pytestmark = [
    pytest.mark.slow,  # several minutes: nodes and commands that load torch
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: hubel[ray]"),
    pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux answers at all of 127.0.0.0/8, and has /proc"
    ),
]
WORDS = "the of and in to a is was on Monday Tuesday Friday cat dog city river bank said told year"
PATIENCE_S = 300.0


class World:
    """Two subjects that differ in a weight, a short and a long text, and what one process makes."""

    def __init__(self, folder: Path) -> None:
        import torch

        self.folder = folder
        made, rng = miniature(), random.Random(0)
        for name in ("subject", "other"):
            made.model.save_pretrained(folder / name)
            made.tokenizer.save_pretrained(folder / name)
            with torch.no_grad():
                next(iter(made.model.parameters())).add_(0.001)
        for name, count in (("short", 60), ("long", 2000)):
            (folder / name).mkdir()
            for number in range(count):
                text = " ".join(rng.choices(WORDS.split(), k=150))
                (folder / name / f"{number}.txt").write_text(text)

    def command(self, text: str, out: str, *options: str) -> list[str]:
        words = ["-m", "hubel", "index", "--subject", "subject", "--corpus", text, "--out", out]
        return [sys.executable, *words, "--store", "all", *options]

    def start(self, text: str, out: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(text, out, *options),
            env=environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_with_ctrl_c,
        )

    def run(self, text: str, out: str, *options: str, status: int = 0) -> list[str]:
        """The lines that are no progress."""
        process = self.start(text, out, *options)
        return ended(process, status)


def _with_ctrl_c() -> None:
    """A command that a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(process: subprocess.Popen[str], status: int) -> list[str]:
    """The lines of a command that are no progress, when it has ended with a status."""
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, errors
    steps = ("index: ", "merge: ", "activation store: ", "a small corpus, ")
    return [line for line in errors.splitlines() if line and not line.startswith(steps)]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("world"))
    for text in ("short", "long"):
        made.run(text, f"one-{text}")
    return made


@pytest.fixture(scope="module")
def nodes(world: World) -> Iterator[RayNodes]:
    """A head and a node."""
    with ray_nodes() as nodes:
        assert nodes.start(2).wait() == 0
        assert nodes.start(3).wait() == 0
        yield nodes


@pytest.mark.skipif(
    not namespaces_work(), reason="needs user namespaces, to show nodes other files"
)
def test_nodes_that_differ_are_left_out_with_a_line(world: World, tmp_path: Path) -> None:
    folder = world.folder
    (folder / "bad.shards").mkdir()
    package = tmp_path / "torch-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    code = Path(__file__).parents[3] / "tools" / "errors.py"
    (tmp_path / "errors.py").write_text(code.read_text() + "\n")
    with ray_nodes() as nodes:
        assert nodes.start(2).wait() == 0
        assert nodes.start(3, first_on_path=str(tmp_path)).wait() == 0
        for number, mount in (
            (4, f"mount --bind {tmp_path}/errors.py {code}"),
            (5, f"mount --bind {folder}/other {folder}/subject"),
            (6, f"mount -t tmpfs none {folder}/bad.shards"),
        ):
            assert nodes.start(number, [mount]).wait() == 0
        lines = world.run("short", "bad", "--engine", "ray", "--address", nodes.address)
        expected = {
            3: " has torch 1.0 instead of ",
            4: " has hubel 0.1.0 (code ",
            5: " but what the other workers do was made with ",
            6: f" does not see {folder}/bad.shards: ",
        }
        for number, text in expected.items():
            (line,) = (line for line in lines if f"({nodes.node(number)}, " in line)
            assert line.startswith("left out: the worker on ")
            assert text in line
        assert len(lines) == len(expected)
    assert index_files(folder / "bad") == index_files(folder / "one-short")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_leaves_no_worker_and_goes_on(
    world: World, nodes: RayNodes, number: signal.Signals
) -> None:
    out = f"stopped-{number}"
    ray = ["--engine", "ray", "--address", nodes.address]
    process = world.start("long", out, *ray)
    wait_for(lambda: list(world.folder.glob(f"{out}.shards/*.unfinished/*/explore")))
    second = world.run("long", out, *ray, status=1)
    assert len(second) == 1
    assert "another process is computing the index" in second[0]
    process.send_signal(number)
    if number == signal.SIGKILL:
        process.communicate()
    else:
        (line,) = ended(process, 1)
        assert line == "hubel: stopped; what is done is kept, and the same command continues"
    wait_for(lambda: not nodes.workers(2) + nodes.workers(3))
    assert world.run("long", out, *ray) == []
    assert index_files(world.folder / out) == index_files(world.folder / "one-long")


def test_a_full_disk_on_one_node_costs_its_shard_until_there_is_room(
    world: World, nodes: RayNodes
) -> None:
    ray = ["--engine", "ray", "--address", nodes.address]
    process = world.start("long", "full", *ray)
    wait_for(lambda: nodes.workers(3))
    (worker,) = nodes.workers(3)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    lines = ended(process, 1)
    assert "the disk is full" in lines[-1]
    assert "1 of 2 shards failed" in lines[-1]
    assert "the same command continues" in lines[-1]
    assert world.run("long", "full", *ray) == []
    assert index_files(world.folder / "full") == index_files(world.folder / "one-long")


def test_a_command_whose_head_dies_ends_and_goes_on_with_another_head(world: World) -> None:
    with ray_nodes() as nodes:
        assert nodes.start(2).wait() == 0
        process = world.start("long", "dead", "--engine", "ray", "--address", nodes.address)
        wait_for(lambda: list(world.folder.glob("dead.shards/*.unfinished/*/explore")))
        nodes.close()
        lines = ended(process, 1)
        assert "the same command continues" in lines[-1]
        assert len(lines) <= 2
        (line,) = world.run("long", "dead", "--engine", "ray", "--address", nodes.address, status=1)
        assert line.startswith(f"hubel: nothing answers at {nodes.address} ")
        assert nodes.start(2).wait() == 0
        assert world.run("long", "dead", "--engine", "ray", "--address", nodes.address) == []
    assert index_files(world.folder / "dead") == index_files(world.folder / "one-long")
