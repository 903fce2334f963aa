"""EleutherAI's sparsify: `<hookpoint>/cfg.json` and `sae.safetensors`.

The folder's name is the hook point. `layers.15.mlp` is the output of that module, or for a
transcoder its input and its output; `layers.15` is the residual stream after block 15. `W_dec` has
one row for each latent. The decoder's bias is subtracted from the input unless it is a transcoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import UsageError
from ...subject.address import Site
from ..activations import GroupMax, Relu, TopKRelu
from ..dictionary import Dictionary
from ..files import digest, read_config, read_weights, whole_number, write_files
from ..places import module_of_place, place_of_hook, place_of_module
from .given_places import GivenPlaces

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"


def matches(source: Path) -> bool:
    """Whether a folder is one dictionary of this format."""
    return (source / CONFIG).is_file() and (source / WEIGHTS).is_file()


def read(source: Path, name: str, given: GivenPlaces) -> Dictionary:
    """Read a folder.

    Raises:
        UsageError: a setting or tensor is missing or of another shape, or the place is unknown.
        CorruptError: a file is cut short.
    """
    path = source / CONFIG
    config = read_config(path)
    width = whole_number(config, "d_in", path)
    size = config.get("num_latents") or width * whole_number(config, "expansion_factor", path)
    k = whole_number(config, "k", path)
    transcodes = bool(config.get("transcode", False))
    stated, output = _stated(source.resolve().name, transcodes)
    reads, writes = given.resolve(
        f"the folder's name in {str(source)!r}", stated, output, transcodes=transcodes
    )
    weights = read_weights(source / WEIGHTS)
    dictionary = Dictionary(
        name,
        reads,
        writes,
        encoder=weights.take("encoder.weight", size, width).T.contiguous(),
        encoder_bias=weights.take("encoder.bias", size),
        decoder=weights.take("W_dec", size, width),
        decoder_bias=weights.take("b_dec", width),
        activation=_activation(config.get("activation", "topk"), k, size, path),
        subtracts_bias=not transcodes,
        skip=weights.take("W_skip", width, width) if config.get("skip_connection") else None,
        of_modules=given.reads is None,
        sha256=digest([path, source / WEIGHTS]),
        source=str(source),
    )
    weights.refuse_others()
    return dictionary


def _activation(kind: object, k: int, size: int, path: Path) -> TopKRelu | GroupMax:
    if kind == "topk":
        return TopKRelu(k)
    if kind != "groupmax":
        raise UsageError(
            f"'activation' in {str(path)!r} is {kind!r}; expected 'topk' or 'groupmax'"
        )
    if size % k:
        raise UsageError(f"{str(path)!r}: {size} latents cannot be split into k = {k} equal groups")
    return GroupMax(k)


def _stated(folder: str, transcodes: bool) -> tuple[Site | None, Site | None]:
    """Where a folder of this name reads and writes; None if it is not named after a module."""
    try:
        output = place_of_hook(folder).place
        return (place_of_module(folder, inside=True) if transcodes else output), output
    except UsageError:
        return None, None


def write(dictionary: Dictionary, folder: Path, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a folder, which holds the hook point's folder; returns that.

    Without a threshold or a gate sparsify has top k and group maxima only; a ReLU is top k of all.

    Raises:
        UsageError: sparsify has no such dictionary.
    """
    del metadata  # its configuration has no place for any
    module = _module(dictionary)
    width, size = dictionary.encoder.shape
    if reason := _unwritable(dictionary, module):
        raise UsageError(
            f"sparsify cannot hold the dictionary {dictionary.name!r}: {reason}; write it for SAELens"
        )
    activation = dictionary.activation
    assert isinstance(activation, TopKRelu | GroupMax | Relu)  # see _unwritable
    config = {
        "activation": "groupmax" if isinstance(activation, GroupMax) else "topk",
        "expansion_factor": max(1, size // width),
        "normalize_decoder": False,
        "num_latents": size,
        "k": size if isinstance(activation, Relu) else min(activation.k, size),
        "multi_topk": False,
        "skip_connection": dictionary.skip is not None,
        "transcode": dictionary.is_transcoder,
        "d_in": width,
    }
    target = folder / str(module)
    write_files(target, CONFIG, config, WEIGHTS, _tensors(dictionary))
    return target


def _tensors(dictionary: Dictionary) -> dict[str, Tensor]:
    bias, shift = dictionary.encoder_bias, dictionary.decoder_bias @ dictionary.encoder
    if dictionary.subtracts_bias and dictionary.is_transcoder:
        bias = bias - shift
    elif not (dictionary.subtracts_bias or dictionary.is_transcoder):
        bias = bias + shift  # sparsify will subtract it
    tensors = {
        "encoder.weight": dictionary.encoder.T,
        "encoder.bias": bias,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.decoder_bias,
    }
    return tensors if dictionary.skip is None else tensors | {"W_skip": dictionary.skip}


def _module(dictionary: Dictionary) -> str | None:
    """The module whose output it reconstructs, and for a transcoder whose input it reads; or None."""
    module = module_of_place(dictionary.writes)
    if module is None or not dictionary.is_transcoder:
        return module
    try:
        return module if place_of_module(module, inside=True) == dictionary.reads else None
    except UsageError:
        return None


def _unwritable(dictionary: Dictionary, module: str | None) -> str:
    """Why sparsify has no such dictionary; "" if it has."""
    if dictionary.later_decoders is not None:
        return "it has no cross-layer transcoders"
    if not isinstance(dictionary.activation, TopKRelu | GroupMax | Relu):
        return f"it has no {type(dictionary.activation).__name__}"
    if dictionary.normalisation != "none":
        return f"it does not normalise its input ({dictionary.normalisation})"
    if dictionary.input_form != "plain":
        return f"it reads modules as they are ({dictionary.input_form})"
    if dictionary.encoder.shape[0] != dictionary.decoder.shape[1]:
        return "input and output must have the same width"
    if module is None:
        return f"no module leads from {dictionary.reads} to {dictionary.writes}"
    return ""
