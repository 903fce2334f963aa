"""Files of weights that are damaged, incomplete or not files: refused from their headers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.tools.errors import CorruptError, HubelError
from hubel.tools.subject import load_subject

from .model_folder import edit_json, refusal, save_tiny

pytestmark = pytest.mark.usefixtures("own_cache")


def shards(folder: Path) -> dict[str, str]:
    """Rewrite a folder's weights as two shards with an index; returns the index's map."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    write_index(folder, weight_map)
    return weight_map


def write_index(folder: Path, weight_map: Any) -> None:
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    plain = load_subject(str(folder), device="cpu")
    weight_map = shards(folder)
    ids = torch.tensor([[1, 2, 3]])
    sharded = load_subject(str(folder), device="cpu")
    assert torch.equal(plain.model(ids).logits, sharded.model(ids).logits)

    write_index(folder, weight_map | {"model.layers.9.made.up": "model-00002-of-00002.safetensors"})
    assert "'model.layers.9.made.up'" in refusal(folder, CorruptError)
    write_index(folder, weight_map | {"x": "../elsewhere.safetensors"})
    assert "../elsewhere.safetensors" in refusal(folder)
    for damaged in ([], None, {"model.norm.weight": None}):
        write_index(folder, damaged)
        refusal(folder, HubelError)
    (folder / "model.safetensors.index.json").write_text("{")
    assert "model.safetensors.index.json" in refusal(folder, CorruptError)

    write_index(folder, weight_map)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "'model-00002-of-00002.safetensors'" in refusal(folder)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    shards(folder)
    first, second = (folder / f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    name = next(iter(load_file(second)))
    save_file(load_file(first) | {name: load_file(second)[name]}, first)
    assert f"{name!r} is in two shards" in refusal(folder, CorruptError)


def test_weights_that_can_carry_code_are_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    message = refusal(folder)
    assert "pytorch_model.bin" in message
    assert "save the model as safetensors" in message
    edit_json(folder / "config.json", {"transformers_weights": "pytorch_model.bin"})
    assert "pytorch_model.bin" in refusal(folder)


@pytest.mark.parametrize(
    "header",
    [
        (2**40).to_bytes(8, "little"),
        (2**63).to_bytes(8, "little"),
        b"\x00" * 8,
        b"short",
        b"",
        (10).to_bytes(8, "little") + b"[1,2,3,45]",
        (10).to_bytes(8, "little") + b"not json..",
        (21).to_bytes(8, "little") + b'{"model.norm.weight":3}'[:21],
    ],
)
def test_damaged_headers(tmp_path: Path, header: bytes) -> None:
    folder = save_tiny(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(header)
    assert "model.safetensors" in refusal(folder, HubelError)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 4 * 2**40]},
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [9] * 100_000, "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": None, "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [4, 20]},
        {"dtype": "F32", "shape": [4]},
        [],
    ],
)
def test_headers_that_lie_about_sizes(tmp_path: Path, entry: Any) -> None:
    folder = save_tiny(tmp_path / "m")
    header = json.dumps({"model.norm.weight": entry}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(16)
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in refusal(folder, CorruptError)


def test_a_sparse_file_was_never_written(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    size = 2**40
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    header = json.dumps({"model.norm.weight": entry}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    assert "never written" in refusal(folder, CorruptError)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    folder = save_tiny(tmp_path / "m")
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        assert name in refusal(folder)


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    """The hub's cache consists of them."""
    folder, store = save_tiny(tmp_path / "m"), tmp_path / "store"
    folder.rename(store)
    folder.mkdir()
    for path in store.iterdir():
        (folder / path.name).symlink_to(path)
    assert load_subject(str(folder), device="cpu").tokenize("the cat").ids
    (store / "model.safetensors").unlink()
    assert "model.safetensors" in refusal(folder)
