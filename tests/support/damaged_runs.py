"""Damaged copies of a run, one for each kind of damage, and other things in a folder of runs."""

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
    """Replace the line of a setting, or add it."""
    config = folder / "config.toml"
    name = line.split(" =")[0]
    lines = [old for old in config.read_text().splitlines() if not old.startswith(f"{name} =")]
    config.write_text("\n".join([line, *lines]))


def _circuit(folder: Path) -> Path:
    """Turn the run into a circuit's; returns the path of its result."""
    (folder / "config.toml").write_text('kind = "circuit"\ntask = "ioi"\n')
    return folder / "circuit.json"


def _link_out(folder: Path, file: str) -> None:
    """Move a file out of the runs folder, and leave a link to it."""
    path = folder / file
    outside = folder.parent.parent / f"outside-{path.name}"
    path.rename(outside)
    path.symlink_to(outside)


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
    _link_out(folder, "config.toml")


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
    _circuit(folder).write_text("[" * 100_000)


@damage
def circuit_is_a_fifo(folder: Path) -> None:
    _fifo(_circuit(folder))


@damage
def circuit_is_huge(folder: Path) -> None:
    result = _circuit(folder)
    result.write_bytes(b"")
    os.truncate(result, 1 << 40)


@damage
def circuit_is_a_list(folder: Path) -> None:
    _circuit(folder).write_text("[1]")


@damage
def circuit_lacks_everything(folder: Path) -> None:
    _circuit(folder).write_text("{}")


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


@damage
def lexicon_is_a_link(folder: Path) -> None:
    _link_out(folder, "lexicon/lexicon.json.gz")


@damage
def activations_are_a_fifo(folder: Path) -> None:
    _fifo(folder / "collected" / "select.safetensors")


@damage
def activations_are_a_link(folder: Path) -> None:
    _link_out(folder, "collected/select.safetensors")


@damage
def activations_are_a_folder(folder: Path) -> None:
    (folder / "collected" / "explore.safetensors").unlink()
    (folder / "collected" / "explore.safetensors").mkdir()


@damage
def events_are_a_file(folder: Path) -> None:
    shutil.rmtree(folder / "events")
    (folder / "events").write_text("no folder")


@damage
def segment_is_a_fifo(folder: Path) -> None:
    _fifo(folder / "events" / "0009-1.jsonl")


@damage
def segment_is_a_link(folder: Path) -> None:
    (folder / "events" / "0009-1.jsonl").symlink_to("/etc/passwd")


@damage
def segment_is_a_folder(folder: Path) -> None:
    (folder / "events" / "0009-1.jsonl").mkdir()


@damage
def segment_has_half_a_pair(folder: Path) -> None:
    line = '{"data":{},"event":"failure","id":"\\ud800","seq":1,"target":"\\udfff","time":"t"}\n'
    (folder / "events" / "0009-1.jsonl").write_text(line)


@damage
def segment_is_nested(folder: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    line = f'{{"data":{deep},"event":"failure","id":null,"seq":1,"target":"mlp.0.0","time":"t"}}\n'
    (folder / "events" / "0009-1.jsonl").write_text(line)


@damage
def segment_names_are_lists(folder: Path) -> None:
    line = '{"data":{},"event":"failure","id":[1],"seq":1,"target":["mlp.0.0"],"time":"t"}\n'
    (folder / "events" / "0009-1.jsonl").write_text(line)


@damage
def segment_is_zeros(folder: Path) -> None:
    (folder / "events" / "0009-1.jsonl").write_bytes(b"\0" * 100_000)


@damage
def table_is_no_table(folder: Path) -> None:
    (folder / "events" / "0009-1.parquet").write_bytes(b"PAR1" + bytes(1000) + b"PAR1")


@damage
def reviews_are_a_file(folder: Path) -> None:
    (folder / "reviews").write_text("no folder")


@damage
def reviews_have_a_fifo(folder: Path) -> None:
    (folder / "reviews").mkdir()
    _fifo(folder / "reviews" / "a.jsonl")


@damage
def reviews_have_nonsense(folder: Path) -> None:
    (folder / "reviews").mkdir()
    (folder / "reviews" / "a.jsonl").write_text("nonsense\n")


@damage
def seal_is_a_fifo(folder: Path) -> None:
    _fifo(folder / "seal.json")


@damage
def seal_is_nested(folder: Path) -> None:
    (folder / "seal.json").write_text("[" * 100_000)


@damage
def seal_has_other_types(folder: Path) -> None:
    (folder / "seal.json").write_text(
        '{"events":"x","unchained":[],"head":5,"segments":3,"files":7}'
    )


@damage
def lock_is_a_fifo(folder: Path) -> None:
    _fifo(folder / "lock")


@damage
def suite_is_a_fifo(folder: Path) -> None:
    _setting(folder, 'suite = "x"')
    _fifo(folder / "suite.toml")
