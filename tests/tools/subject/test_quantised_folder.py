"""A folder of quantised weights as a subject: the weights that its codes mean, and their name."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.tools.errors import UnavailableError
from hubel.tools.subject import load_subject
from hubel.tools.subject.load import subject_revision, subject_width
from hubel.tools.subject.quantised_folder import METHODS
from tests.support.tiny import N_LAYERS

from .model_folder import GATE, Tensors, edit_json, refusal, rewrite, save_tiny

pytestmark = pytest.mark.usefixtures("own_cache")
FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"}
BLOCK = 8


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "tiny")


def save_fp8(folder: Path) -> Tensors:
    """Make a plain folder's projections fp8 with a scale for each block; returns what they mean."""
    meant: Tensors = {}

    def to_fp8(tensors: Tensors) -> Tensors:
        stored = dict(tensors)
        for name in [name for name in tensors if "_proj.weight" in name]:
            rows, columns = tensors[name].shape
            blocks = tensors[name].reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
            scale = blocks.abs().amax((1, 3)) / 448.0
            codes = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
            stored[name] = codes.reshape(rows, columns)
            stored[f"{name}_scale_inv"] = scale
            meant[name] = (codes.float() * scale[:, None, :, None]).reshape(rows, columns)
        return stored

    rewrite(folder, to_fp8)
    edit_json(
        folder / "config.json", {"quantization_config": FP8 | {"weight_block_size": [BLOCK, BLOCK]}}
    )
    return meant


def save_bitsandbytes(plain: Path, folder: Path, **options: Any) -> Any:
    """Save a folder's model as bitsandbytes quantises it; returns the model that was loaded again."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings = BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.float32, **options)
    load: Any = AutoModelForCausalLM.from_pretrained
    load(plain, quantization_config=settings, device_map="cpu").save_pretrained(folder)
    for path in plain.glob("tokenizer*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return load(folder, device_map="cpu", dtype=torch.float32)


def test_the_weights_are_what_the_codes_mean(plain: Path) -> None:
    ids = torch.tensor([[1, 2, 3, 4]])
    before = load_subject(str(plain), device="cpu")
    meant = save_fp8(plain)
    lines: list[str] = []
    subject = load_subject(str(plain), device="cpu", progress=lines.append)
    weights = subject.model.state_dict()
    assert len(meant) == 7 * N_LAYERS
    assert all(torch.equal(weights[name], value) for name, value in meant.items())
    assert subject.title == "tiny, dequantised from fp8 e4m3"
    assert "dequantising tiny from fp8 e4m3 (once)" in lines
    assert subject.revision != before.revision
    assert not torch.equal(subject.model(ids).logits, before.model(ids).logits)


def test_it_is_dequantised_once_and_again_when_it_changes(plain: Path) -> None:
    save_fp8(plain)
    revision, lines = subject_revision(str(plain)), list[str]()
    assert load_subject(str(plain), device="cpu", progress=lines.append).revision == revision
    assert not any("dequantising" in line for line in lines)
    assert subject_width(str(plain)) == 16
    rewrite(plain, lambda tensors: tensors | {"model.norm.weight": torch.full((16,), 2.0)})
    assert subject_revision(str(plain)) != revision


@pytest.mark.parametrize(
    "missing", [f"{GATE}_scale_inv", GATE, "model.norm.weight", "lm_head.weight"]
)
def test_what_is_missing_is_named_and_never_made_up(plain: Path, missing: str) -> None:
    save_fp8(plain)
    rewrite(plain, lambda t: {k: v for k, v in t.items() if k != missing})
    assert missing.removesuffix("_scale_inv") in refusal(plain)


def test_a_weight_of_another_shape_is_refused(plain: Path) -> None:
    save_fp8(plain)
    rewrite(plain, lambda t: t | {"model.norm.weight": torch.ones(20)})
    assert "model.norm.weight" in refusal(plain)


def test_a_weight_of_no_model_is_refused(plain: Path) -> None:
    save_fp8(plain)
    rewrite(plain, lambda t: t | {"model.layers.1.mlp.gate_proj.bias": torch.ones(24)})
    assert "gate_proj.bias" in refusal(plain)


def test_settings_that_are_none_are_refused(plain: Path) -> None:
    save_fp8(plain)
    edit_json(plain / "config.json", {"quantization_config": FP8 | {"weight_block_size": "wide"}})
    assert "weight_block_size" in refusal(plain)


def test_a_method_that_cannot_be_undone_is_refused(plain: Path) -> None:
    edit_json(plain / "config.json", {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    assert "gptq" in refusal(plain)


@pytest.mark.parametrize("method", [["fp8"], {"a": 1}, 8, "", None])
def test_a_method_that_is_no_name_is_refused(plain: Path, method: Any) -> None:
    edit_json(plain / "config.json", {"quantization_config": {"quant_method": method}})
    assert "an unnamed method" in refusal(plain)


def test_a_shape_needs_no_weights(plain: Path) -> None:
    save_fp8(plain)
    (plain / "model.safetensors").unlink()
    assert subject_width(str(plain)) == 16


def test_a_missing_package_is_named(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_json(plain / "config.json", {"quantization_config": {"quant_method": "bitsandbytes"}})
    monkeypatch.setitem(METHODS, "bitsandbytes", ("no-such",))
    assert "hubel[quantised]" in refusal(plain, UnavailableError)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nf4", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}),
        ("fp4", {"load_in_4bit": True, "bnb_4bit_use_double_quant": True}),
    ],
)
def test_four_bits_of_bitsandbytes_are_what_it_computes_itself(
    tmp_path: Path, plain: Path, name: str, options: dict[str, Any]
) -> None:
    ids = torch.tensor([[1, 2, 3, 4]])
    own = save_bitsandbytes(plain, tmp_path / name, **options)
    subject = load_subject(str(tmp_path / name), device="cpu")
    assert subject.title == f"{name}, dequantised from bitsandbytes {name}"
    torch.testing.assert_close(subject.model(ids).logits, own(ids).logits, atol=1e-5, rtol=0)


def test_eight_bits_of_bitsandbytes_are_codes_times_scales(tmp_path: Path, plain: Path) -> None:
    save_bitsandbytes(plain, tmp_path / "int8", load_in_8bit=True)
    stored = load_file(tmp_path / "int8" / "model.safetensors")
    scale = stored[GATE.replace("weight", "SCB")]
    subject = load_subject(str(tmp_path / "int8"), device="cpu")
    held = subject.model.state_dict()[GATE]
    torch.testing.assert_close(held, stored[GATE].float() * scale[:, None] / 127)
    assert subject.title == "int8, dequantised from bitsandbytes int8"


@pytest.fixture
def compressed(plain: Path) -> Tensors:
    """Make a plain folder's projections compressed-tensors of 4 bits; returns what they mean."""
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed")
    pack: Any = import_module("compressed_tensors.compressors.pack_quantized.helpers").pack_to_int32
    meant: Tensors = {}
    stored: Tensors = {}
    for name, weight in load_file(plain / "model.safetensors").items():
        if "_proj.weight" not in name:
            stored[name] = weight
            continue
        scale = weight.abs().amax(1, keepdim=True) / 7
        codes = (weight / scale).round().clamp(-8, 7).to(torch.int8)
        base = name.removesuffix("weight")
        stored[f"{base}weight_packed"] = pack(codes, 4)
        stored[f"{base}weight_scale"] = scale
        stored[f"{base}weight_shape"] = torch.tensor(weight.shape)
        meant[name] = codes.float() * scale
    save_file(stored, plain / "model.safetensors", metadata={"format": "pt"})
    weights = {"num_bits": 4, "type": "int", "strategy": "channel", "symmetric": True}
    group = {"targets": ["Linear"], "weights": weights}
    edit_json(
        plain / "config.json",
        {
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized",
                "config_groups": {"group_0": group},
                "ignore": ["lm_head"],
                "quantization_status": "compressed",
            }
        },
    )
    return meant


def test_compressed_tensors_are_codes_times_scales(plain: Path, compressed: Tensors) -> None:
    subject = load_subject(str(plain), device="cpu")
    held = subject.model.state_dict()
    for name, value in compressed.items():
        torch.testing.assert_close(held[name], value)
    assert subject.title == "tiny, dequantised from compressed-tensors pack-quantized"


@pytest.mark.usefixtures("compressed")
def test_compressed_tensors_of_several_schemes_or_without_a_scale_are_refused(plain: Path) -> None:
    stored = json.loads((plain / "config.json").read_text())["quantization_config"]
    groups = stored["config_groups"]
    for change, reason in (
        ({"config_groups": groups | {"group_1": groups["group_0"]}}, "2 groups"),
        ({"format": "float-quantized"}, "only the format pack-quantized"),
    ):
        edit_json(plain / "config.json", {"quantization_config": stored | change})
        assert reason in refusal(plain)
    edit_json(plain / "config.json", {"quantization_config": stored})
    scale = GATE.replace("weight", "weight_scale")
    rewrite(plain, lambda t: {k: v for k, v in t.items() if k != scale})
    assert f"{scale!r} is missing" in refusal(plain)
