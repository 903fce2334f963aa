"""Weights that are not those of the configuration: refused by the tensor's name, never filled in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hubel.tools.errors import UsageError
from hubel.tools.subject import load_subject
from tests.support.tiny import N_LAYERS, tiny_tokenizer

from .model_folder import GATE, Tensors, edit_json, refusal, rewrite, save_tiny

pytestmark = pytest.mark.usefixtures("own_cache")


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {other: value for other, value in tensors.items() if other != name}


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
    folder = save_tiny(tmp_path / "m")
    rewrite(folder, without(name))
    assert f"{name!r} is missing" in refusal(folder)


def test_an_unexpected_tensor_is_named(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    rewrite(
        folder, lambda tensors: tensors | {"model.layers.1.mlp.gate_proj.bias": torch.zeros(24)}
    )
    assert "'model.layers.1.mlp.gate_proj.bias' is not of this model" in refusal(folder)


def test_a_reshaped_tensor_is_named_with_both_shapes(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    rewrite(folder, lambda tensors: tensors | {GATE: torch.ones(20, 16)})
    assert f"{GATE!r} has shape (20, 16) instead of (24, 16)" in refusal(folder)


def test_a_resized_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    rows = len(tiny_tokenizer())
    edit_json(folder / "config.json", {"vocab_size": rows + 8})
    message = refusal(folder)
    assert "embed_tokens" in message or "lm_head" in message
    assert str(rows) in message
    assert str(rows + 8) in message


@pytest.mark.parametrize("n_layers", [N_LAYERS - 1, N_LAYERS + 1, 1, 10**6, 2**31 - 1])
def test_another_number_of_layers_is_refused(tmp_path: Path, n_layers: int) -> None:
    message = refusal(save_tiny(tmp_path / "m", num_hidden_layers=n_layers))
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
        message = refusal(save_tiny(tmp_path / str(len(list(tmp_path.iterdir()))), **change))
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
    folder = save_tiny(tmp_path / "m", model_type)
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
    folder = save_tiny(tmp_path / "m")
    rewrite(folder, lambda tensors: {f"student.{name}": value for name, value in tensors.items()})
    assert "student." in refusal(folder)


def test_the_prefix_of_the_base_model_may_be_left_out(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", "gpt2")
    plain = load_subject(str(folder), device="cpu")
    rewrite(folder, lambda tensors: {k.removeprefix("transformer."): v for k, v in tensors.items()})
    other = load_subject(str(folder), device="cpu")
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(plain.model(ids).logits, other.model(ids).logits)


@pytest.mark.parametrize("twin", ["_orig_mod.model.norm.weight", "norm.weight"])
def test_a_tensor_that_is_there_twice_is_refused(tmp_path: Path, twin: str) -> None:
    folder = save_tiny(tmp_path / "m")
    rewrite(folder, lambda tensors: tensors | {twin: torch.ones(16)})
    message = refusal(folder)
    assert "twice" in message
    assert repr(twin) in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", [GATE, "model.norm.weight", "model.embed_tokens.weight"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, name: str, value: float) -> None:
    folder = save_tiny(tmp_path / "m")

    def spoil(tensors: Tensors) -> None:
        tensors[name].view(-1)[3] = value

    rewrite(folder, spoil)
    message = refusal(folder)
    assert repr(name) in message
    assert "1 of " in message
    assert "NaN or infinite" in message


def test_infinities_that_cancel_are_found(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")

    def spoil(tensors: Tensors) -> None:
        tensors[GATE][0, 0], tensors[GATE][0, 1] = float("inf"), -float("inf")

    rewrite(folder, spoil)
    assert "2 of 384 values" in refusal(folder)


def test_a_value_that_the_format_cannot_hold_names_the_format(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")

    def enlarge(tensors: Tensors) -> None:
        tensors[GATE][0, 0] = 70000.0

    rewrite(folder, enlarge)
    message = refusal(folder, dtype="float16")
    assert repr(GATE) in message
    assert "70000, which float16 cannot hold" in message
    assert load_subject(str(folder), device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_large_finite_weights_are_not_called_infinite(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")

    def enlarge(tensors: Tensors) -> None:
        tensors["model.norm.weight"][:] = 3e38  # their sum overflows

    rewrite(folder, enlarge)
    with pytest.raises(UsageError) as error:
        load_subject(str(folder), device="cpu")
    assert "model.norm.weight" not in str(error.value)


def test_a_tied_config_with_another_unembedding_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", tie_word_embeddings=True)
    assert "ties lm_head.weight" in refusal(folder)
    rewrite(folder, lambda t: t | {"lm_head.weight": t["model.embed_tokens.weight"].clone()})
    ids = torch.tensor([[1, 2, 3]])
    twice = load_subject(str(folder), device="cpu").model(ids).logits  # equal values are one tensor
    rewrite(folder, without("lm_head.weight"))
    assert torch.equal(load_subject(str(folder), device="cpu").model(ids).logits, twice)
    edit_json(folder / "config.json", {"tie_word_embeddings": False})
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
    folder = save_tiny(tmp_path / "m", model_type)
    plain = load_subject(str(folder), device="cpu")
    buffers = {name.format(i): torch.ones(1, 1, 8, 8).bool() for name in names for i in range(3)}
    rewrite(folder, lambda tensors: tensors | buffers)
    ids = torch.tensor([[1, 2, 3]])
    other = load_subject(str(folder), device="cpu")
    assert torch.equal(plain.model(ids).logits, other.model(ids).logits)


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int32, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_weights_that_are_codes_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = save_tiny(tmp_path / "m")
    rewrite(folder, lambda tensors: tensors | {GATE: torch.ones(24, 16).to(dtype)})
    message = refusal(folder)
    assert repr(GATE) in message
    assert "quantised" in message


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_float_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = save_tiny(tmp_path / "m")
    rewrite(folder, lambda tensors: {name: value.to(dtype) for name, value in tensors.items()})
    assert load_subject(str(folder), device="cpu").dtype == torch.float32
