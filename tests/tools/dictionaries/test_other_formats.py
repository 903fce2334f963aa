"""SAELens before 6.0, circuit-tracer, Gemma Scope and dictionary_learning, against their own formulas.

The formulas are written out from the tensors as the files hold them; `test_library_vectors` has what the
libraries' classes answered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hubel.tools.dictionaries.activations import JumpRelu, Relu, TopKRelu
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.read import dictionaries_inside, read_dictionary
from hubel.tools.dictionaries.write import write_dictionary
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Site
from tests.support.dictionary_files import (
    LATENTS,
    D,
    FileCase,
    K,
    Numbers,
    inputs,
    saelens_tensors,
    write_saelens,
)

X = inputs()


def check(dictionary: Dictionary, activations: Tensor, reconstruction: Tensor) -> None:
    torch.testing.assert_close(dictionary.encode(X), activations, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        dictionary.decode(activations, X), reconstruction, atol=1e-4, rtol=1e-5
    )


def largest(h: Tensor) -> Tensor:
    kept = h.topk(K, dim=-1)
    return torch.zeros_like(h).scatter(-1, kept.indices, kept.values.relu())


# ----------------------------------------------------------------- SAELens before 6.0


def old_saelens(folder: Path, tensors: dict[str, Tensor], **settings: Any) -> Dictionary:
    flat = {
        "model_name": "gpt2-small", "hook_point": "blocks.1.hook_resid_pre", "hook_point_layer": 1,
        "d_in": D, "d_sae": LATENTS, "dtype": "torch.float32", "l1_coefficient": 8e-5,
    }  # fmt: skip
    write_saelens(folder, FileCase("old", flat | settings, tensors))
    return read_dictionary(folder, "old")


def test_saelens_before_6(tmp_path: Path) -> None:
    t = saelens_tensors("standard")
    h = (X - t["b_dec"]) @ t["W_enc"] + t["b_enc"]
    plain = old_saelens(tmp_path / "plain", t | {"scaling_factor": torch.ones(LATENTS)})
    assert (plain.reads, plain.model) == (Site("stream", 0), "gpt2-small")
    check(plain, h.relu(), h.relu() @ t["W_dec"] + t["b_dec"])
    top = old_saelens(
        tmp_path / "top",
        t,
        activation_fn_str="topk",
        activation_fn_kwargs={"k": K},
        normalize_activations=False,
    )
    check(top, largest(h), largest(h) @ t["W_dec"] + t["b_dec"])
    factor = Numbers(5)(LATENTS).abs()
    scaled = old_saelens(
        tmp_path / "scaled", t | {"scaling_factor": factor}, finetuning_scaling_factor=True
    )
    check(scaled, h.relu(), (h.relu() * factor) @ t["W_dec"] + t["b_dec"])
    jump = old_saelens(
        tmp_path / "jump",
        t | {"log_threshold": factor.log()},
        architecture="jumprelu",
        normalize_activations=True,
    )
    assert "expected_average_only_in" in jump.notes[0]
    check(jump, h.relu() * (h > factor), (h.relu() * (h > factor)) @ t["W_dec"] + t["b_dec"])


def test_a_scaling_factor_without_its_flag_is_refused(tmp_path: Path) -> None:
    tensors = saelens_tensors("standard") | {"scaling_factor": torch.full((LATENTS,), 2.0)}
    with pytest.raises(UsageError, match="'scaling_factor' other than 1"):
        old_saelens(tmp_path, tensors)


# ----------------------------------------------------------------- circuit-tracer

CONFIG = """\
model_name: "google/gemma-2-2b"
model_kind: "transcoder_set"
feature_input_hook: "mlp.hook_in"   # with the norm's weight
feature_output_hook: mlp.hook_out
transcoders:
  - "hf://someone/layer_0.safetensors"
"""


def test_circuit_tracer_transcoders(tmp_path: Path) -> None:
    t = saelens_tensors("jumprelu_skip_transcoder")
    (tmp_path / "config.yaml").write_text(CONFIG)
    encoder = t.pop("W_enc").T.contiguous()
    threshold, skip = t.pop("threshold"), t.pop("W_skip")
    h = X @ encoder.T + t["b_enc"]
    plain = t | {"W_enc": encoder}
    save_file(plain, tmp_path / "layer_0.safetensors")
    save_file(
        plain | {"activation_function.threshold": threshold[None]}, tmp_path / "layer_2.safetensors"
    )
    save_file(plain | {"W_skip": skip, "k": torch.tensor(K)}, tmp_path / "layer_10.safetensors")
    files = dictionaries_inside(tmp_path)
    assert [path.name for path in files] == [
        "layer_0.safetensors",
        "layer_2.safetensors",
        "layer_10.safetensors",
    ]
    relu, jump, top = (read_dictionary(path, "a") for path in files)
    assert (relu.reads, relu.writes, relu.model) == (
        Site("mlp_in", 0),
        Site("mlp_out", 0),
        "google/gemma-2-2b",
    )
    check(relu, h.relu(), h.relu() @ t["W_dec"] + t["b_dec"])
    check(jump, h * (h > threshold), (h * (h > threshold)) @ t["W_dec"] + t["b_dec"])
    check(top, largest(h), largest(h) @ t["W_dec"] + t["b_dec"] + X @ skip.T)
    assert [type(each.activation) for each in (relu, jump, top)] == [Relu, JumpRelu, TopKRelu]
    with pytest.raises(UsageError, match=r"holds 3 dictionaries; give one of them: .*layer_0"):
        read_dictionary(tmp_path, "a")


def test_without_its_configuration_the_caller_says_where_it_reads(tmp_path: Path) -> None:
    t = saelens_tensors("transcoder")
    path = tmp_path / "layer_3.safetensors"
    save_file(t | {"W_enc": t["W_enc"].T.contiguous()}, path)
    with pytest.raises(UsageError, match=r"without a config\.yaml .* give it, e\.g\. --at"):
        read_dictionary(path, "a")
    assert read_dictionary(path, "a", reads=Site("mid", 3)).writes == Site("mlp_out", 3)


def test_a_layer_of_a_cross_layer_transcoder(tmp_path: Path) -> None:
    draw = Numbers(3)
    encoder, bias, threshold = draw(LATENTS, D), draw(LATENTS), draw(LATENTS).abs()
    decoders, out = draw(LATENTS, 3, D), draw(D)
    (tmp_path / "config.yaml").write_text(
        'feature_input_hook: "hook_resid_mid"\nfeature_output_hook: "hook_mlp_out"\n'
    )
    names = {"W_enc_1": encoder, "b_enc_1": bias, "b_dec_1": out, "threshold_1": threshold}
    save_file(names, tmp_path / "W_enc_1.safetensors")
    with pytest.raises(UsageError, match=r"W_dec_1\.safetensors' is missing"):
        read_dictionary(tmp_path / "W_enc_1.safetensors", "a")
    save_file({"W_dec_1": decoders}, tmp_path / "W_dec_1.safetensors")
    dictionary = read_dictionary(tmp_path / "W_enc_1.safetensors", "a")
    h = X @ encoder.T + bias
    check(dictionary, h * (h > threshold), (h * (h > threshold)) @ decoders[:, 0] + out)
    assert dictionary.later_decoders is not None
    torch.testing.assert_close(dictionary.later_decoders, decoders[:, 1:].transpose(0, 1))
    assert "own part" in dictionary.notes[0]
    for form in ("saelens", "sparsify"):
        with pytest.raises(UsageError, match="cross-layer"):
            write_dictionary(dictionary, tmp_path / "out", form)


# ----------------------------------------------------------------- Gemma Scope


def test_gemma_scope(tmp_path: Path) -> None:
    t = saelens_tensors("jumprelu")
    arrays = {name: tensor.numpy() for name, tensor in t.items()}
    h = X @ t["W_enc"] + t["b_enc"]  # without the decoder's bias
    z = h.relu() * (h > t["threshold"])
    places = {"res": Site("stream", 12), "mlp": Site("mlp_out", 12), "att": Site("z", 12)}
    for kind, place in places.items():
        folder = tmp_path / f"gemma-scope-2b-pt-{kind}" / "layer_12" / "width_16k" / "average_l0_71"
        folder.mkdir(parents=True)
        np.savez(folder / "params.npz", **cast(Any, arrays))
        dictionary = read_dictionary(folder, "a")
        assert (dictionary.reads, dictionary.model) == (place, "gemma-2-2b")
        check(dictionary, z, z @ t["W_dec"] + t["b_dec"])
    folder = tmp_path / "gemma-scope-9b-it-transcoders" / "layer_3" / "width_16k" / "average_l0_5"
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **cast(Any, arrays))
    transcoder = read_dictionary(folder, "a")
    assert (transcoder.reads, transcoder.writes) == (Site("mlp_in", 3), Site("mlp_out", 3))
    assert (transcoder.input_form, transcoder.model) == ("before_norm_weight", "gemma-2-9b-it")
    assert len(dictionaries_inside(tmp_path)) == 4
    np.savez(tmp_path / "params.npz", **cast(Any, arrays))
    with pytest.raises(UsageError, match="does not say where the dictionary reads"):
        read_dictionary(tmp_path / "params.npz", "a")


# ----------------------------------------------------------------- dictionary_learning

T = saelens_tensors("jumprelu")
LINEAR = {
    "encoder.weight": T["W_enc"].T.contiguous(), "encoder.bias": T["b_enc"],
    "decoder.weight": T["W_dec"].T.contiguous(),
}  # fmt: skip
H = (X - T["b_dec"]) @ T["W_enc"] + T["b_enc"]
OUT = (T["W_dec"], T["b_dec"])
K_SCALAR, THRESHOLD = {"k": torch.tensor(K)}, {"threshold": torch.tensor(0.5)}


def learned(kind: str) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """A class's tensors, and its activations and reconstruction of X."""
    rows, bias = OUT
    norms = rows.norm(dim=1)
    if kind == "AutoEncoder":
        return LINEAR | {"bias": bias}, H.relu() * norms, H.relu() @ rows + bias
    if kind == "AutoEncoderNew":
        z = (X @ T["W_enc"] + T["b_enc"]).relu()
        return LINEAR | {"decoder.bias": bias}, z, z @ rows + bias
    if kind == "AutoEncoderTopK":
        z = largest(H)
        return LINEAR | {"b_dec": bias} | K_SCALAR | THRESHOLD, z, z @ rows + bias
    if kind == "BatchTopKSAE":
        z = H.relu() * (H > 0.5)
        return LINEAR | {"b_dec": bias} | K_SCALAR | THRESHOLD, z, z @ rows + bias
    packed = {name: T[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    if kind == "MatryoshkaBatchTopKSAE":
        z = H.relu() * (H > 0.5)
        groups = {"group_sizes": torch.tensor([4, 8]), "active_groups": torch.tensor(2)}
        return packed | K_SCALAR | THRESHOLD | groups, z, z @ rows + bias
    if kind == "JumpReluAutoEncoder":
        h = X @ T["W_enc"] + T["b_enc"]
        z = (h * (h > T["threshold"])).relu()
        return packed | {"threshold": T["threshold"]}, z, z @ rows + bias
    g = saelens_tensors("gated", 4)
    product = (X - bias) @ T["W_enc"]
    z = (product + g["b_gate"] > 0) * (product * g["r_mag"].exp() + g["b_mag"]).relu()
    gated = {
        "r_mag": g["r_mag"],
        "gate_bias": g["b_gate"],
        "mag_bias": g["b_mag"],
        "decoder_bias": bias,
    }
    weights = {name: LINEAR[name] for name in ("encoder.weight", "decoder.weight")}
    return gated | weights, z, z @ rows + bias


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize(
    "kind",
    [
        "AutoEncoder", "AutoEncoderNew", "AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE",
        "JumpReluAutoEncoder", "GatedAutoEncoder",
    ],
)  # fmt: skip
def test_dictionary_learning(kind: str, ending: str, tmp_path: Path) -> None:
    tensors, activations, reconstruction = learned(kind)
    trainer = {
        "dict_class": kind,
        "lm_name": "EleutherAI/pythia-70m",
        "layer": 3,
        "submodule_name": "mlp_layer_3",
    }
    (tmp_path / "config.json").write_text(
        json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}})
    )
    if ending == "pt":
        torch.save(tensors, tmp_path / "ae.pt")
    else:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            tmp_path / "ae.safetensors",
        )
    dictionary = read_dictionary(tmp_path, "a")
    assert (dictionary.reads, dictionary.model) == (Site("mlp_out", 3), "EleutherAI/pythia-70m")
    check(dictionary, activations, reconstruction)
    if kind == "BatchTopKSAE":  # which only its configuration tells from top k
        return
    (tmp_path / "config.json").unlink()
    check(read_dictionary(tmp_path, "a", reads=Site("stream", 0)), activations, reconstruction)
