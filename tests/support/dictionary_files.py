"""Files of dictionaries as other tools write them, with weights that look random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

D, D_OUT, LATENTS, K = 6, 6, 12, 3


class FileCase(NamedTuple):
    """The configuration and tensors of one dictionary."""

    name: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def saelens_cases() -> Iterator[FileCase]:
    """Every architecture, and for autoencoders every normalisation; d_in 6, 12 latents."""
    for architecture in ("standard", "topk", "jumprelu", "gated"):
        for normalisation in ("none", "layer_norm", "constant_norm_rescale"):
            yield saelens_case(architecture, normalize_activations=normalisation)
        yield saelens_case(architecture, apply_b_dec_to_input=False)
    yield saelens_case("topk", rescale_acts_by_decoder_norm=True)
    yield saelens_case("standard", normalize_activations="expected_average_only_in")
    yield saelens_case("standard", normalize_activations="covariance_whitening")
    for kind in (
        "transcoder",
        "skip_transcoder",
        "jumprelu_transcoder",
        "jumprelu_skip_transcoder",
    ):
        yield saelens_case(kind)
    yield saelens_case("skip_transcoder", normalize_activations="layer_norm")


def saelens_case(architecture: str, hook: str = "", seed: int = 0, **settings: Any) -> FileCase:
    """A dictionary of SAELens 6."""
    transcodes = "transcoder" in architecture
    metadata = {
        "sae_lens_version": "6.54.12",
        "model_name": "tiny",
        "hook_name": hook or ("blocks.1.mlp.hook_in" if transcodes else "blocks.1.hook_resid_post"),
    }
    config = {
        "architecture": architecture, "d_in": D, "d_sae": LATENTS, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": not transcodes, "normalize_activations": "none",
        "reshape_activations": "none", "metadata": metadata,
    }  # fmt: skip
    if architecture == "topk":
        config["k"] = K
    if transcodes:
        config["d_out"] = D_OUT
        metadata["hook_name_out"] = "blocks.1.hook_mlp_out"
    label = "-".join([architecture, *(f"{value}" for value in settings.values())])
    return FileCase(label, config | settings, saelens_tensors(architecture, seed))


def saelens_tensors(architecture: str, seed: int = 0) -> dict[str, Tensor]:
    """Random weights under SAELens' names."""
    draw = Numbers(seed)
    tensors = {"W_enc": draw(D, LATENTS), "W_dec": draw(LATENTS, D_OUT), "b_dec": draw(D_OUT)}
    if architecture == "gated":
        return tensors | {name: draw(LATENTS) for name in ("b_gate", "b_mag", "r_mag")}
    tensors["b_enc"] = draw(LATENTS)
    if "jumprelu" in architecture:
        tensors["threshold"] = draw(LATENTS).abs()
    if "skip" in architecture:
        tensors["W_skip"] = draw(D_OUT, D)
    return tensors


def sparsify_cases() -> Iterator[FileCase]:
    """Autoencoder, transcoder and skip transcoder, with both activations."""
    for activation in ("topk", "groupmax"):
        for transcode, skip in ((False, False), (True, False), (True, True)):
            yield sparsify_case(activation, transcode=transcode, skip_connection=skip)


def sparsify_case(activation: str = "topk", seed: int = 0, **settings: bool) -> FileCase:
    """A dictionary of sparsify."""
    config = {
        "activation": activation, "expansion_factor": LATENTS // D, "normalize_decoder": True,
        "num_latents": 0, "k": K, "multi_topk": False, "skip_connection": False,
        "transcode": False, "d_in": D,
    } | settings  # fmt: skip
    draw = Numbers(seed)
    shapes = {
        "encoder.weight": (LATENTS, D), "encoder.bias": (LATENTS,), "W_dec": (LATENTS, D),
        "b_dec": (D,),
    }  # fmt: skip
    if config["skip_connection"]:
        shapes["W_skip"] = (D, D)
    tensors = {name: draw(*shape) for name, shape in shapes.items()}
    label = "-".join([activation, *(key for key, value in settings.items() if value)])
    return FileCase(label, config, tensors)


def write_saelens(folder: Path, case: FileCase) -> Path:
    """The folder as SAELens writes it."""
    return _write(folder, case, "sae_weights.safetensors")


def write_sparsify(root: Path, case: FileCase, hookpoint: str = "layers.1.mlp") -> Path:
    """The folder of a hook point as sparsify writes it."""
    return _write(root / hookpoint, case, "sae.safetensors")


def inputs(rows: int = 8, width: int = D, seed: int = 7) -> Tensor:
    """Random vectors at the place that a dictionary reads."""
    return Numbers(seed)(rows, width) * 2 + 0.5


class Numbers:
    """Numbers between -1.5 and 1.5 that look random and are the same with every version of torch."""

    def __init__(self, seed: int) -> None:
        self.place = 1000 * seed + 1

    def __call__(self, *shape: int) -> Tensor:
        places = torch.arange(self.place, self.place + prod(shape), dtype=torch.float64)
        self.place += prod(shape)
        return ((places * 12.9898).sin() * 43758.5453).frac().mul(1.5).float().reshape(shape)


def _write(folder: Path, case: FileCase, weights: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(case.config), encoding="utf-8")
    save_file(case.tensors, folder / weights)
    return folder
