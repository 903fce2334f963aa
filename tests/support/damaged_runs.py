"""Folders that are no good runs, in every way that somebody thought of, beside one that is."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

DAMAGE: dict[str, Callable[[Path], object]] = {}
"""Name of a damaged copy to what was done to it."""


def damage(function: Callable[[Path], object]) -> Callable[[Path], object]:
    """Register one way to damage a run, under the function's name."""
    DAMAGE[function.__name__] = function
    return function


def make_damaged_runs(runs: Path, run: Path) -> list[str]:
    """Write a damaged copy of a run for each kind of damage; returns their names."""
    for name, function in DAMAGE.items():
        function(Path(shutil.copytree(run, runs / name)))
    (runs / "empty").mkdir()
    (runs / "a-file").write_text("no folder")
    (runs / "dangling").symlink_to(runs / "nowhere")
    (runs / "loop").symlink_to(runs / "loop")
    (runs / "only-a-circuit").mkdir()
    (runs / "only-a-circuit" / "circuit.json").write_text("[[[")
    return [*DAMAGE, "only-a-circuit"]


def _setting(folder: Path, line: str) -> None:
    """Put a line in the place of that of the same setting."""
    config = folder / "config.toml"
    name = line.split(" =")[0]
    lines = [old for old in config.read_text().splitlines() if not old.startswith(f"{name} =")]
    config.write_text("\n".join([line, *lines]))


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@damage
def config_is_cut(folder: Path) -> None:
    config = folder / "config.toml"
    config.write_bytes(config.read_bytes()[:-100] + b"\nx = [")


@damage
def config_is_empty(folder: Path) -> None:
    (folder / "config.toml").write_bytes(b"")


@damage
def config_is_binary(folder: Path) -> None:
    (folder / "config.toml").write_bytes(bytes(range(256)))


@damage
def config_is_huge(folder: Path) -> None:
    os.truncate(folder / "config.toml", 1 << 40)  # sparse


@damage
def config_is_nested(folder: Path) -> None:
    (folder / "config.toml").write_text("x = " + "[" * 100_000)


@damage
def config_is_a_fifo(folder: Path) -> None:
    _fifo(folder / "config.toml")


@damage
def config_is_a_folder(folder: Path) -> None:
    (folder / "config.toml").unlink()
    (folder / "config.toml").mkdir()


@damage
def config_is_a_link(folder: Path) -> None:
    outside = folder.parent.parent / "outside.toml"
    (folder / "config.toml").rename(outside)
    (folder / "config.toml").symlink_to(outside)


@damage
def config_is_a_dangling_link(folder: Path) -> None:
    (folder / "config.toml").unlink()
    (folder / "config.toml").symlink_to("nowhere")


@damage
def targets_are_a_number(folder: Path) -> None:
    _setting(folder, "targets = 5")


@damage
def targets_are_numbers(folder: Path) -> None:
    _setting(folder, "targets = [1, 2]")


@damage
def format_is_text(folder: Path) -> None:
    _setting(folder, 'format = "new"')


@damage
def explainer_is_a_number(folder: Path) -> None:
    _setting(folder, "explainer = 3")


@damage
def seed_is_huge(folder: Path) -> None:
    _setting(folder, f"seed = {10**400}")


@damage
def circuit_is_nested(folder: Path) -> None:
    (folder / "config.toml").write_text('kind = "circuit"\ntask = "ioi"\n')
    (folder / "circuit.json").write_text("[" * 100_000)


@damage
def circuit_is_a_fifo(folder: Path) -> None:
    (folder / "config.toml").write_text('kind = "circuit"\ntask = "ioi"\n')
    _fifo(folder / "circuit.json")


@damage
def circuit_is_huge(folder: Path) -> None:
    (folder / "config.toml").write_text('kind = "circuit"\ntask = "ioi"\n')
    (folder / "circuit.json").write_bytes(b"")
    os.truncate(folder / "circuit.json", 1 << 40)


@damage
def circuit_is_a_list(folder: Path) -> None:
    (folder / "config.toml").write_text('kind = "circuit"\ntask = "ioi"\n')
    (folder / "circuit.json").write_text("[1]")


@damage
def circuit_lacks_everything(folder: Path) -> None:
    (folder / "config.toml").write_text('kind = "circuit"\ntask = "ioi"\n')
    (folder / "circuit.json").write_text("{}")


@damage
def lexicon_is_a_bomb(folder: Path) -> None:
    content = b'{"format":2,"vectors":false,"strings":["' + b"x" * (1 << 28)
    (folder / "lexicon" / "lexicon.json.gz").write_bytes(gzip.compress(content, 1))


@damage
def lexicon_has_other_types(folder: Path) -> None:
    content = {"format": 2, "vectors": False, "strings": 5, "neighbourhoods": []}
    (folder / "lexicon" / "lexicon.json.gz").write_bytes(
        gzip.compress(json.dumps(content).encode())
    )


@damage
def lexicon_is_a_fifo(folder: Path) -> None:
    _fifo(folder / "lexicon" / "lexicon.json.gz")
