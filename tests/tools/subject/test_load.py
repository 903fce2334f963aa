from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hubel.tools.errors import CorruptError, UnavailableError, UsageError
from hubel.tools.subject import Shape, Site, load_subject, subject_shape
from hubel.tools.subject.architectures import ARCHITECTURES, Architecture
from hubel.tools.subject.load import load_directions
from tests.support.tiny import (
    D_MODEL,
    MODEL_TYPES,
    N_HEADS,
    N_LAYERS,
    N_NEURONS,
    tiny_model,
    tiny_tokenizer,
)

from .model_folder import save_tiny


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_folder_of_each_family(
    tmp_path: Path, model_type: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny(tmp_path / "some-model", model_type)
    capfd.readouterr()
    subject = load_subject(str(folder), device="cpu")
    assert subject.title == "some-model"
    assert (
        subject.revision
        == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:16]
    )
    assert subject.shape == subject_shape(str(folder)) == Shape(N_LAYERS, N_NEURONS, N_HEADS)
    ids = torch.tensor([subject.tokenize("Monday the cat").ids])
    expected = tiny_model(model_type, vocab_size=len(tiny_tokenizer()))(ids).logits
    torch.testing.assert_close(subject.capture(ids, [], logits=True).logits, expected)
    assert capfd.readouterr() == ("", ""), "loading is silent"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_half_precision_passes_the_self_test(tmp_path: Path, model_type: str, dtype: str) -> None:
    subject = load_subject(str(save_tiny(tmp_path / "m", model_type)), device="cpu", dtype=dtype)
    assert str(subject.dtype) == f"torch.{dtype}"
    assert subject.device.type == "cpu"


def test_directions_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "directions.safetensors"
    save_file(
        {"resid.1@truth": torch.ones(D_MODEL), "resid.2@tense-2": torch.arange(D_MODEL).float()},
        file,
    )
    subject = load_subject(str(save_tiny(tmp_path / "m")), directions=file)
    assert subject.shape.directions == {1: ("truth",), 2: ("tense-2",)}
    assert subject.directions[1]["truth"].norm() == 1
    assert subject_shape("smollm2-135m", directions=file).directions == subject.shape.directions
    assert subject.capture(torch.tensor([[1, 2]]), [Site("resid", 1)]).activations[
        Site("resid", 1)
    ].shape == (1, 2, 1)

    save_file({"mlp.1.2": torch.ones(D_MODEL)}, file)
    with pytest.raises(UsageError, match="not a direction"):
        load_directions(file)
    file.write_bytes(b"not safetensors at all")
    with pytest.raises(UsageError, match="safetensors file"):
        load_directions(file)


def test_weights_cut_short(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CorruptError, match="cut short") as error:
        load_subject(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_something(tmp_path: Path, missing: str) -> None:
    folder = save_tiny(tmp_path / "m")
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=r"safetensors|tokenizer") as error:
        load_subject(str(folder))
    assert "\n" not in str(error.value)


def test_wrong_names_devices_and_formats(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="float99"):
        load_subject("smollm2-135m", dtype="float99")
    with pytest.raises(UsageError, match="choose auto"):
        load_subject("smollm2-135m", device="toaster")
    with pytest.raises(UsageError, match="not available here; choose cpu"):
        load_subject("smollm2-135m", device="xpu")
    with pytest.raises(UsageError, match="no such folder"):
        load_subject(str(tmp_path / "nowhere"))


def test_an_unknown_family_is_named_before_its_weights_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match=r"Architecture\('mamba'"):
        load_subject(str(tmp_path))


class Hub:
    """Stands in for the hub's client: raises what it raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
        def snapshot_download(*_: Any, **__: Any) -> str:
            if isinstance(outcome, BaseException):
                raise outcome
            return str(outcome)

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)


def test_a_hub_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Hub(monkeypatch, save_tiny(tmp_path / "snapshot"))
    subject = load_subject("some/model")
    assert (subject.name, subject.title) == ("some/model", "some/model")
    assert subject_shape("some/model") == subject.shape


def test_an_unreachable_hub_is_one_readable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    for outcome in (LocalEntryNotFoundError("not found\nand more"), ConnectionError("no route")):
        Hub(monkeypatch, outcome)
        with pytest.raises(
            UnavailableError, match="hub cannot be reached: check the network"
        ) as error:
            load_subject("some/model")
        assert "\n" not in str(error.value)
        assert "smollm2-135m" in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"mlp_write": "self_attn"}, "do not add up"),
        ({"attention_write": "input_layernorm"}, "do not add up"),
        ({"attention_out": "self_attn.k_proj"}, "output of attention_out"),
        ({"mlp_down": "mlp.up_proj"}, "output of mlp_down"),
        ({"mlp_down": "mlp.nonsense"}, "no module 'mlp.nonsense'"),
    ],
)
def test_a_wrong_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], what: str
) -> None:
    folder = save_tiny(tmp_path / "m")
    monkeypatch.setitem(ARCHITECTURES, "llama", Architecture("llama", **wrong))
    with pytest.raises(UsageError, match=what) as error:
        load_subject(str(folder))
    assert "architectures.py" in str(error.value)
