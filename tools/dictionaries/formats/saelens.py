"""SAELens: `cfg.json` and `sae_weights.safetensors`, of version 6 or before.

`W_enc` is (width, latents), `W_dec` (latents, width). What was trained with batch top-k or as a
Matryoshka dictionary is saved as jumprelu. With `rescale_acts_by_decoder_norm` latents are ranked by
pre-activation times the norm of their decoder row; here that norm is moved into the encoder, which
computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ..activations import Activation, Gated, JumpRelu, Relu, TopKRelu
from ..dictionary import Dictionary, InputForm
from ..files import NamedWeights, digest, read_weights, write_files
from ..fold import unit_rows
from ..places import NamedPlace, hook_of_place, is_module_output, place_of_hook
from .given_places import GivenPlaces
from .saelens_config import NORMALISATIONS, SaeLensConfig, read_saelens_config

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
TRANSCODERS = (
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)
ARCHITECTURES = ("standard", "topk", "jumprelu", "gated", *TRANSCODERS)
WRITTEN_VERSION = "6.54.12"
"""The version whose loader accepted what `write` writes."""


def matches(source: Path) -> bool:
    """Whether a folder is one dictionary of this format."""
    return (source / CONFIG).is_file() and (source / WEIGHTS).is_file()


def read(
    source: Path, name: str, given: GivenPlaces, overrides: Mapping[str, Any] | None = None
) -> Dictionary:
    """Read a folder.

    Args:
        overrides: settings that replace those of `cfg.json`.

    Raises:
        UsageError: the architecture is another one, or a tensor is missing or of another shape.
        CorruptError: a file is cut short.
    """
    config = read_saelens_config(source / CONFIG, ARCHITECTURES, overrides)
    transcodes = config.architecture in TRANSCODERS
    stated = place_of_hook(config.hook) if config.hook else None
    output = place_of_hook(config.output_hook).place if config.output_hook else None
    reads, writes = given.resolve(
        repr(str(config.path)), stated and stated.place, output, transcodes=transcodes
    )
    weights = read_weights(source / WEIGHTS)
    width, size = _sizes(config, weights)
    width_out = config.output_width or width
    dictionary = Dictionary(
        name,
        reads,
        writes,
        encoder=weights.take("W_enc", width, size),
        encoder_bias=(
            torch.zeros(size) if config.architecture == "gated" else weights.take("b_enc", size)
        ),
        decoder=weights.take("W_dec", size, width_out),
        decoder_bias=weights.take("b_dec", width_out),
        activation=_activation(config, weights, size),
        subtracts_bias=config.subtracts_bias and not transcodes,
        normalisation=config.normalisation,
        skip=weights.take("W_skip", width_out, width) if "skip" in config.architecture else None,
        input_form=_input_form(config, stated),
        of_modules=given.reads is None and is_module_output(config.output_hook or config.hook),
        model=config.model,
        sha256=digest([source / CONFIG, source / WEIGHTS]),
        source=str(source),
        notes=config.notes,
    )
    dictionary = _scaled(dictionary, config, weights)
    weights.refuse_others()
    return unit_rows(dictionary) if config.rescales else dictionary


def _sizes(config: SaeLensConfig, weights: NamedWeights) -> tuple[int, int]:
    """Width and number of latents, which the configuration and the tensors must agree on."""
    width, size = weights.shape("W_enc")
    stated = (config.width or width, config.size or size)
    if stated != (width, size):
        hint = "; it is transposed, as in circuit-tracer's files" if stated == (size, width) else ""
        raise UsageError(
            f"'W_enc' in {weights.where} has the shape {(width, size)}, but {config.path.name} says "
            f"d_in {stated[0]} and d_sae {stated[1]}{hint}"
        )
    return width, size


def _activation(config: SaeLensConfig, weights: NamedWeights, size: int) -> Activation:
    if config.architecture == "gated":
        return Gated(*(weights.take(name, size) for name in ("b_gate", "b_mag", "r_mag")))
    if config.architecture == "topk":
        assert config.k is not None  # read for this architecture
        return TopKRelu(config.k)
    if "jumprelu" not in config.architecture:
        return Relu()
    if "log_threshold" in weights:  # before 6.0
        return JumpRelu(weights.take("log_threshold", size).exp())
    return JumpRelu(weights.take("threshold", size))


def _input_form(config: SaeLensConfig, stated: NamedPlace | None) -> InputForm:
    if stated is not None and stated.input_form != "plain":
        return stated.input_form
    reads_stream = stated is not None and stated.place.kind in ("stream", "mid")
    return "centred" if config.centred and reads_stream else "plain"


def _scaled(dictionary: Dictionary, config: SaeLensConfig, weights: NamedWeights) -> Dictionary:
    """The decoder's rows times the factors that versions before 6.0 apply to latents before decoding."""
    for name in ("scaling_factor", "finetuning_scaling_factor"):
        if name not in weights:
            continue
        factor = weights.take(name, dictionary.n_latents)
        if torch.allclose(factor, torch.ones_like(factor)):
            continue
        if not config.scales:
            raise UsageError(
                f"{weights.where} holds {name!r} other than 1, but {config.path.name} does not say "
                "finetuning_scaling_factor; it is not clear what it multiplies"
            )
        dictionary = replace(dictionary, decoder=dictionary.decoder * factor[:, None])
    return dictionary


def write(dictionary: Dictionary, folder: Path, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a folder that SAELens 6 loads; returns it.

    Args:
        metadata: further entries of `cfg.json`'s metadata, such as context_size and dataset_path.

    Raises:
        UsageError: SAELens has no such dictionary.
    """
    architecture = _architecture(dictionary)
    width, size = dictionary.encoder.shape
    config: dict[str, Any] = {
        "architecture": architecture,
        "d_in": width,
        "d_sae": size,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.subtracts_bias and not dictionary.is_transcoder,
        "normalize_activations": _name_of(dictionary.normalisation),
        "reshape_activations": "hook_z" if dictionary.reads.kind == "z" else "none",
        "metadata": _metadata(dictionary) | dict(metadata or {}),
    }
    if isinstance(dictionary.activation, TopKRelu):
        config |= {"k": min(dictionary.activation.k, size), "rescale_acts_by_decoder_norm": False}
    if dictionary.is_transcoder:
        config["d_out"] = dictionary.decoder.shape[1]
    write_files(folder, CONFIG, config, WEIGHTS, _tensors(dictionary))
    return folder


def _architecture(dictionary: Dictionary) -> str:
    """SAELens' name of the kind of dictionary; raises UsageError where it has none."""
    skip = "skip_" if dictionary.skip is not None else ""
    transcodes = dictionary.is_transcoder
    kind = type(dictionary.activation)
    names = {
        Relu: f"{skip}transcoder" if transcodes else "standard",
        JumpRelu: f"jumprelu_{skip}transcoder" if transcodes else "jumprelu",
        TopKRelu: "" if transcodes else "topk",
        Gated: "" if transcodes else "gated",
    }
    name = names.get(kind, "")
    if dictionary.later_decoders is not None:
        raise UsageError(
            f"SAELens cannot hold the dictionary {dictionary.name!r}: it has no cross-layer transcoders"
        )
    if not name or (skip and not transcodes):
        what = f"{'transcoder' if transcodes else 'autoencoder'} with {kind.__name__}"
        raise UsageError(
            f"SAELens cannot hold the dictionary {dictionary.name!r}: it has no {what}"
            f"{' and a skip connection' if skip else ''}; write it for sparsify"
        )
    return name


def _name_of(normalisation: str) -> str:
    return next(theirs for theirs, ours in NORMALISATIONS.items() if ours == normalisation)


def _metadata(dictionary: Dictionary) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "sae_lens_version": WRITTEN_VERSION,
        "model_name": dictionary.model,
        "hook_name": hook_of_place(dictionary.reads, dictionary.input_form),
        "hook_head_index": None,
        "prepend_bos": False,
    }
    if dictionary.is_transcoder:
        metadata["hook_name_out"] = hook_of_place(dictionary.writes)
    if dictionary.input_form == "centred":
        metadata["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    return metadata


def _tensors(dictionary: Dictionary) -> dict[str, Tensor]:
    activation, bias = dictionary.activation, dictionary.encoder_bias
    if dictionary.is_transcoder and dictionary.subtracts_bias:  # which SAELens does not do
        bias = bias - dictionary.decoder_bias @ dictionary.encoder
    tensors = {
        "W_enc": dictionary.encoder,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.decoder_bias,
    }
    if isinstance(activation, Gated):
        return tensors | {
            "b_gate": activation.gate_bias,
            "b_mag": activation.magnitude_bias,
            "r_mag": activation.log_scale,
        }
    tensors["b_enc"] = bias
    if isinstance(activation, JumpRelu):
        tensors["threshold"] = activation.threshold
    return tensors if dictionary.skip is None else tensors | {"W_skip": dictionary.skip}
