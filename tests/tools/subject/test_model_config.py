"""Mistakes in a folder's small files: each is refused in one line that names the file and the key."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubel.tools.errors import HubelError, UsageError
from hubel.tools.subject import load_subject, subject_shape
from tests.support.tiny import tiny_tokenizer

from .model_folder import MISSING, edit_json, refusal, save_tiny

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)


@pytest.mark.parametrize("key", SIZES)
def test_a_wrong_size_names_its_key(folder: Path, key: str) -> None:
    for value in (MISSING, None, "3", -1, 0, 3.5, True, [], {}, 10**30, float("nan")):
        edit_json(folder / "config.json", {key: value})
        message = refusal(folder)
        assert "config.json" in message
        assert key in message
        with pytest.raises(HubelError, match=key):
            subject_shape(str(folder))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("num_attention_heads", (3, 5, 1000)),  # do not divide
        ("num_key_value_heads", (0, -2, 3, "2", 1000)),
        ("head_dim", (0, -4, "4", 3)),
        ("hidden_act", ("no-such-function", 3, None, [])),
        ("rms_norm_eps", ("small", None, -1.0, float("nan"), [])),
        (
            "rope_parameters",
            ("x", [], {"rope_type": "no-such"}, {"rope_theta": "x", "rope_type": "default"}),
        ),
        ("tie_word_embeddings", ("yes", 3, [])),
        ("attention_bias", ("no", True)),
        ("mlp_bias", (True,)),
        ("is_encoder_decoder", (True,)),
        (
            "quantization_config",
            ({"quant_method": "gptq", "bits": 4}, {"load_in_4bit": True}, [1], "x"),
        ),
    ],
)
def test_a_wrong_key_is_named(folder: Path, key: str, values: tuple[Any, ...]) -> None:
    for value in values:
        edit_json(folder / "config.json", {key: value})
        message = refusal(folder)
        named = {key, key.split("_")[0], "quantised", "attention heads", "missing", "bias"}
        assert any(word in message for word in named), (value, message)


@pytest.mark.parametrize(
    "value", [MISSING, None, "", 3, [], "no-such-family", "bert", "t5", "mamba"]
)
def test_a_wrong_model_type_is_refused(folder: Path, value: Any) -> None:
    edit_json(folder / "config.json", {"model_type": value})
    with pytest.raises(UsageError, match="type") as error:
        load_subject(str(folder), device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"3", b'"llama"', b"\xff\xfe\x00", b"\x00" * 100, b"{}",
        b"[" * 100_000, b'{"model_type": ' + b"9" * 10_000 + b"}", b"not json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_file_that_is_not_an_object_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    if (name, content) == ("tokenizer_config.json", b"{}"):  # nothing is wrong with it
        assert load_subject(str(folder), device="cpu").tokenize("the cat").ids
        return
    message = refusal(folder)
    assert name in message or "tokenizer" in message


@pytest.mark.parametrize(
    "change",
    [
        {"model": MISSING},
        {"model": None},
        {"model": {"type": "no-such", "vocab": {}}},
        {"model": {"type": "BPE", "vocab": {}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": [["x", "y"]]}},
        {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}},
        {"model": []},
        {"added_tokens": "x"},
        {"added_tokens": [{"id": 999_999_999, "content": "<far>"}]},
        {"pre_tokenizer": {"type": "no-such"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}},
        {"decoder": 3},
    ],
)
def test_a_broken_tokenizer_is_named(folder: Path, change: dict[str, Any]) -> None:
    edit_json(folder / "tokenizer.json", change)
    assert "tokenizer" in refusal(folder)


def test_a_tokenizer_without_its_files(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json" in refusal(folder)
    (folder / "vocab.json").write_text('{"a": 0}')  # without the merges that belong to it
    assert "tokenizer.json" in refusal(folder)


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("n", [1, 7])
def test_a_tokenizer_larger_than_the_embedding(folder: Path, special: bool, n: int) -> None:
    tokenizer = tiny_tokenizer()
    rows = len(tokenizer)
    tokenizer.add_tokens([f"<extra{i}>" for i in range(n)], special_tokens=special)
    tokenizer.save_pretrained(folder)
    message = refusal(folder)
    assert f"{rows + n:,} ids" in message
    assert f"{rows:,} rows" in message
    assert f"{rows} '<extra0>'" in message


@pytest.mark.parametrize("name", ["generation_config.json", "chat_template.jinja", "README.md"])
def test_files_that_are_not_needed_are_not_read(folder: Path, name: str) -> None:
    (folder / name).write_text("{ {% if")
    assert load_subject(str(folder), device="cpu").tokenize("the cat").ids


CODE = "raise SystemExit('custom code was run')\n"


@pytest.fixture
def no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("asked a person whether to run custom code")

    monkeypatch.setattr("builtins.input", asked)

    def connected(*_: object, **__: object) -> None:
        raise AssertionError("looked something up")

    monkeypatch.setattr(socket, "getaddrinfo", connected)


@pytest.mark.usefixtures("no_input")
def test_custom_code_is_never_run_and_is_reported(folder: Path) -> None:
    for name in (
        "configuration_x.py",
        "modeling_x.py",
        "tokenization_x.py",
        "custom_generate/generate.py",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(CODE)
    auto_map = {
        "AutoConfig": "configuration_x.C",
        "AutoModelForCausalLM": "someone/else--modeling_x.M",
        "AutoTokenizer": ["tokenization_x.T", "tokenization_x.T"],
    }
    edit_json(folder / "config.json", {"auto_map": auto_map})
    lines: list[str] = []
    load_subject(str(folder), device="cpu", progress=lines.append)
    assert any("never run" in line for line in lines)
    edit_json(folder / "tokenizer_config.json", {"auto_map": auto_map})
    lines.clear()
    load_subject(str(folder), device="cpu", progress=lines.append)
    assert sum("never run" in line for line in lines) == 2
    edit_json(folder / "config.json", {"model_type": "someone_s_own"})
    with pytest.raises(UsageError, match="never run"):
        load_subject(str(folder), device="cpu")


@pytest.mark.usefixtures("no_input")
@pytest.mark.parametrize(
    "changes",
    [
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_attn_implementation": "someone/kernel@main"},
        {"attn_implementation": "flash_attention_2"},
        {"_attn_implementation_internal": "someone/kernel"},
        {"experts_implementation": "someone/kernel"},
        {"use_kernels": True, "kernel_config": {"RMSNorm": "someone/kernel:RMSNorm"}},
        {"fusion_config": {"patch_embeddings": True}},
        {"distributed_config": {"tp_plan": "auto"}},
    ],
)
def test_kernels_that_a_config_names_are_not_fetched(folder: Path, changes: dict[str, Any]) -> None:
    edit_json(folder / "config.json", changes)
    lines: list[str] = []
    subject = load_subject(str(folder), device="cpu", progress=lines.append)
    assert subject.model.config._attn_implementation == "sdpa"
    assert len(lines) == 1
    assert "config.json" in lines[0]


@pytest.mark.usefixtures("no_input")
@pytest.mark.parametrize(
    "changes",
    [
        {"return_dict": False},
        {"hidden_activation": None},
        {"output_attentions": True, "output_hidden_states": True},
        {"torch_dtype": "float99", "dtype": "no-such"},
        {"torch_dtype": "float16"},
        {"name_or_path": "mistralai/Mistral-7B-v0.1", "_name_or_path": "mistralai/Mistral-7B-v0.1"},
        {"transformers_version": "4.30.0"},
        {"num_labels": 3, "id2label": {"0": "x"}},
    ],
)
def test_what_says_nothing_about_the_model_changes_nothing(
    folder: Path, changes: dict[str, Any]
) -> None:
    edit_json(folder / "config.json", changes)
    subject = load_subject(str(folder), device="cpu")
    assert str(subject.dtype) == "torch.float32"
    assert subject.shape == subject_shape(str(folder))


def _adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/model"}')
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()


def _merged_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/model"}')


def _gptq(folder: Path) -> None:
    (folder / "quantize_config.json").write_text('{"bits": 4}')


def _gguf(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "model.Q4_K_M.gguf").write_bytes(b"GGUF")


def _distributed(folder: Path) -> None:
    name = "shard-00001-model-00001-of-00002.safetensors"
    (folder / "model.safetensors").rename(folder / name)


def _renamed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")


@pytest.mark.usefixtures("no_input")
@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (_adapter, "merge"),
        (_merged_adapter, "remove adapter_config.json"),
        (_gptq, "dequantised"),
        (_gguf, "the model that it was made from"),
        (_distributed, "save_pretrained"),
        (_renamed, "rename"),
    ],
)
def test_folders_of_another_kind_get_the_right_cure(
    folder: Path, make: Callable[[Path], None], cure: str
) -> None:
    make(folder)
    assert cure in refusal(folder)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("model.gguf", "cannot be read as GGUF"),
        ("pytorch_model.bin", "safetensors"),
        ("model.safetensors", "give the folder"),
        ("config.json", "give the folder"),
    ],
)
def test_a_file_instead_of_a_folder(folder: Path, name: str, cure: str) -> None:
    (folder / name).touch()
    assert cure in refusal(folder / name)


def test_a_name_that_cannot_be_a_path() -> None:
    for name in ("x" * 5000, "a\0b", "", " "):
        with pytest.raises(HubelError) as error:
            load_subject(name, device="cpu")
        assert "\n" not in str(error.value)
