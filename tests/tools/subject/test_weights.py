"""Folders whose weights are not those of their configuration: refused by the tensor's name, never filled in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.tools.errors import CorruptError, HubelError, UsageError
from hubel.tools.subject import load_subject
from tests.support.tiny import N_LAYERS, tiny_model, tiny_tokenizer

Tensors = dict[str, torch.Tensor]
GATE = "model.layers.1.mlp.gate_proj.weight"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))


def save(folder: Path, model_type: str = "llama", **config: Any) -> Path:
    tokenizer = tiny_tokenizer()
    tiny_model(model_type, vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    edit_config(folder, **config)
    return folder


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "absent"}))


def rewrite(folder: Path, change: Callable[[Tensors], Tensors | None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors) or tensors, folder / "model.safetensors", metadata={"format": "pt"})


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {other: value for other, value in tensors.items() if other != name}


def refusal(folder: Path, kind: type[HubelError] = UsageError, **options: Any) -> str:
    with pytest.raises(kind) as error:
        load_subject(str(folder), device="cpu", **options)
    message = str(error.value)
    assert "\n" not in message
    assert "architectures.py" not in message, "the user's file is at fault, not a table of ours"
    return message


@pytest.mark.parametrize(
    "name",
    [
        GATE,
        "model.embed_tokens.weight",
        "model.norm.weight",
        "lm_head.weight",
        "model.layers.2.self_attn.k_proj.weight",
        "model.layers.0.input_layernorm.weight",
    ],
)
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path / "m")
    rewrite(folder, without(name))
    assert f"{name!r} is missing" in refusal(folder)


def test_an_unexpected_tensor_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    rewrite(
        folder, lambda tensors: tensors | {"model.layers.1.mlp.gate_proj.bias": torch.zeros(24)}
    )
    assert "'model.layers.1.mlp.gate_proj.bias' is not of this model" in refusal(folder)


def test_a_reshaped_tensor_is_named_with_both_shapes(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    rewrite(folder, lambda tensors: tensors | {GATE: torch.ones(20, 16)})
    assert f"{GATE!r} has shape (20, 16) instead of (24, 16)" in refusal(folder)


def test_a_resized_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    rows = len(tiny_tokenizer())
    edit_config(folder, vocab_size=rows + 8)
    message = refusal(folder)
    assert "embed_tokens" in message or "lm_head" in message
    assert str(rows) in message
    assert str(rows + 8) in message


@pytest.mark.parametrize("n_layers", [N_LAYERS - 1, N_LAYERS + 1, 1, 10**6, 2**31 - 1])
def test_another_number_of_layers_is_refused(tmp_path: Path, n_layers: int) -> None:
    message = refusal(save(tmp_path / "m", num_hidden_layers=n_layers))
    assert f"{n_layers:,} layers" in message
    assert f"its weights have {N_LAYERS}" in message


def test_huge_sizes_are_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"hidden_size": 2**30, "head_dim": 4},
        {"intermediate_size": 2**31 - 1},
        {"vocab_size": 2**31 - 1},
        {"head_dim": 2**30},
        {"hidden_size": 300, "num_attention_heads": 4},
        {"hidden_size": 2**24, "num_attention_heads": 2**20, "num_key_value_heads": 2**20},
    )
    for change in changes:
        message = refusal(save(tmp_path / str(len(list(tmp_path.iterdir()))), **change))
        assert "instead of" in message or "no tensor" in message, change


@pytest.mark.parametrize(
    "wrap",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"_orig_mod.module.{name}",
        lambda name: name.replace("mlp.", "_orig_mod.mlp._orig_mod."),
        lambda name: (
            f"_fsdp_wrapped_module.{name.replace('.mlp.', '._checkpoint_wrapped_module.mlp.')}"
        ),
    ],
)
@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_wrappers_are_removed_from_names_and_reported(
    tmp_path: Path, wrap: Callable[[str], str], model_type: str
) -> None:
    folder = save(tmp_path / "m", model_type)
    plain = load_subject(str(folder), device="cpu")
    rewrite(folder, lambda tensors: {wrap(name): value for name, value in tensors.items()})
    lines: list[str] = []
    wrapped = load_subject(str(folder), device="cpu", progress=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("removed ")
    for (name, value), other in zip(
        plain.model.state_dict().items(), wrapped.model.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name


def test_an_unknown_prefix_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    rewrite(folder, lambda tensors: {f"student.{name}": value for name, value in tensors.items()})
    assert "student." in refusal(folder)


def test_the_prefix_of_the_base_model_may_be_left_out(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", "gpt2")
    plain = load_subject(str(folder), device="cpu")
    rewrite(folder, lambda tensors: {k.removeprefix("transformer."): v for k, v in tensors.items()})
    other = load_subject(str(folder), device="cpu")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(plain.model(ids).logits, other.model(ids).logits)


@pytest.mark.parametrize("twin", ["_orig_mod.model.norm.weight", "norm.weight"])
def test_a_tensor_that_is_there_twice_is_refused(tmp_path: Path, twin: str) -> None:
    folder = save(tmp_path / "m")
    rewrite(folder, lambda tensors: tensors | {twin: torch.ones(16)})
    message = refusal(folder)
    assert "twice" in message
    assert repr(twin) in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", [GATE, "model.norm.weight", "model.embed_tokens.weight"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, name: str, value: float) -> None:
    folder = save(tmp_path / "m")

    def spoil(tensors: Tensors) -> None:
        tensors[name].view(-1)[3] = value

    rewrite(folder, spoil)
    message = refusal(folder)
    assert repr(name) in message
    assert "1 of " in message
    assert "NaN or infinite" in message


def test_infinities_that_cancel_are_found(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")

    def spoil(tensors: Tensors) -> None:
        tensors[GATE][0, 0], tensors[GATE][0, 1] = float("inf"), -float("inf")

    rewrite(folder, spoil)
    assert "2 of 384 values" in refusal(folder)


def test_a_value_that_the_format_cannot_hold_names_the_format(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")

    def enlarge(tensors: Tensors) -> None:
        tensors[GATE][0, 0] = 70000.0

    rewrite(folder, enlarge)
    message = refusal(folder, dtype="float16")
    assert repr(GATE) in message
    assert "70000, which float16 cannot hold" in message
    assert load_subject(str(folder), device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_large_finite_weights_are_no_infinities(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")

    def enlarge(tensors: Tensors) -> None:
        tensors["model.norm.weight"][:] = 3e38  # their sum overflows

    rewrite(folder, enlarge)
    with pytest.raises(UsageError) as error:
        load_subject(str(folder), device="cpu")
    assert "model.norm.weight" not in str(error.value)


def test_a_tied_config_with_another_unembedding_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", tie_word_embeddings=True)
    assert "ties lm_head.weight" in refusal(folder)
    rewrite(folder, lambda t: t | {"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    load_subject(str(folder), device="cpu")  # the same values twice are one tensor
    rewrite(folder, without("lm_head.weight"))
    load_subject(str(folder), device="cpu")
    edit_config(folder, tie_word_embeddings=False)
    assert "'lm_head.weight' is missing; set tie_word_embeddings" in refusal(folder)


@pytest.mark.parametrize(
    ("model_type", "names"),
    [
        ("gpt2", ["transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"]),
        (
            "gpt_neox",
            [
                "gpt_neox.layers.{}.attention.bias",
                "gpt_neox.layers.{}.attention.masked_bias",
                "gpt_neox.layers.{}.attention.rotary_emb.inv_freq",
            ],
        ),
        ("llama", ["model.layers.{}.self_attn.rotary_emb.inv_freq"]),
    ],
)
def test_old_files_may_hold_what_the_model_computes(
    tmp_path: Path, model_type: str, names: list[str]
) -> None:
    folder = save(tmp_path / "m", model_type)
    buffers = {name.format(i): torch.ones(1, 1, 8, 8).bool() for name in names for i in range(3)}
    rewrite(folder, lambda tensors: tensors | buffers)
    load_subject(str(folder), device="cpu")


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
    folder = save(tmp_path / "m")
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
    folder = save(tmp_path / "m")
    shards(folder)
    first, second = (folder / f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    name = next(iter(load_file(second)))
    save_file(load_file(first) | {name: load_file(second)[name]}, first)
    assert f"{name!r} is in two shards" in refusal(folder, CorruptError)


def test_weights_that_can_carry_code_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    message = refusal(folder)
    assert "pytorch_model.bin" in message
    assert "save the model as safetensors" in message
    edit_config(folder, transformers_weights="pytorch_model.bin")
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
    folder = save(tmp_path / "m")
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
    folder = save(tmp_path / "m")
    header = json.dumps({"model.norm.weight": entry}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(16)
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in refusal(folder, CorruptError)


def test_a_sparse_file_was_never_written(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
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
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path / "m")
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        assert name in refusal(folder)


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    """The hub's cache consists of them."""
    folder, store = save(tmp_path / "m"), tmp_path / "store"
    folder.rename(store)
    folder.mkdir()
    for path in store.iterdir():
        (folder / path.name).symlink_to(path)
    load_subject(str(folder), device="cpu")
    (store / "model.safetensors").unlink()
    assert "model.safetensors" in refusal(folder)


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int32, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_weights_that_are_codes_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = save(tmp_path / "m")
    rewrite(folder, lambda tensors: tensors | {GATE: torch.ones(24, 16).to(dtype)})
    message = refusal(folder)
    assert repr(GATE) in message
    assert "quantised" in message


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_float_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = save(tmp_path / "m")
    rewrite(folder, lambda tensors: {name: value.to(dtype) for name, value in tensors.items()})
    assert load_subject(str(folder), device="cpu").dtype == torch.float32
