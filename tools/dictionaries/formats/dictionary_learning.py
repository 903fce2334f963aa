"""dictionary_learning: `ae.pt` or `ae.safetensors`, with the trainer's `config.json` next to it.

| class                 | how it is recognised          | subtracts | activation               |
|-----------------------|-------------------------------|-----------|--------------------------|
| AutoEncoder           | encoder.weight and bias       | bias      | ReLU                     |
| AutoEncoderNew        | encoder.weight, decoder.bias  | nothing   | ReLU                     |
| AutoEncoderTopK       | encoder.weight and k          | b_dec     | top k                    |
| BatchTopKSAE          | the same; config.json says so | b_dec     | ReLU above one threshold |
| MatryoshkaBatchTopKSAE| W_enc and k                   | b_dec     | ReLU above one threshold |
| JumpReluAutoEncoder   | W_enc and no k                | nothing   | JumpReLU                 |
| GatedAutoEncoder      | gate_bias                     | its bias  | gated                    |

Its loader gives the decoder of AutoEncoder rows of length 1, so that its latents are in multiples of
their rows' norms. It leaves those of the other classes as they are, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ...subject.address import Site, VectorKind
from ..activations import Activation, Gated, JumpRelu, Relu, TopKRelu
from ..dictionary import Dictionary
from ..files import NamedWeights, digest, read_config, read_pickled_weights, read_weights
from ..fold import unit_rows
from .given_places import GivenPlaces

NAMES = ("ae.safetensors", "ae.pt")
CONFIG = "config.json"
_SUBMODULE = re.compile(
    r"(resid_post|resid|mlp_out|mlp|attention_out|attention|attn_out|attn)\w*?_(\d+)"
)
_HOOKS: dict[str, VectorKind] = {
    "resid_post": "stream",
    "resid": "stream",
    "mlp_out": "mlp_out",
    "mlp": "mlp_out",
    "attention_out": "attn_out",
    "attention": "attn_out",
    "attn_out": "attn_out",
    "attn": "attn_out",
}
_IGNORED = ("k", "threshold", "group_sizes", "active_groups")
"""Settings that are kept among the tensors, some of them of training alone."""


def matches(source: Path) -> bool:
    """Whether a folder or file is one dictionary of this format."""
    return source.name in NAMES or any((source / name).is_file() for name in NAMES)


def read(source: Path, name: str, given: GivenPlaces) -> Dictionary:
    """Read a folder or its file of weights.

    Raises:
        UsageError: the class is not known, a tensor is missing or of another shape, a pickle carries
            anything but tensors, or no file says where it reads.
        CorruptError: a file is cut short.
    """
    path = source if source.is_file() else next(source / n for n in NAMES if (source / n).is_file())
    config_path = path.with_name(CONFIG)
    config = read_config(config_path) if config_path.is_file() else {}
    trainer = config.get("trainer", config)
    weights = _weights(path)
    settings = {key: weights.tensors.pop(key) for key in _IGNORED if key in weights}
    kind = str(trainer.get("dict_class") or _class_of(weights, settings))
    place = _stated(trainer)
    reads, _ = given.resolve(
        f"{str(path)!r}, without a {CONFIG} that does,", place, None, transcodes=False
    )
    files = [path, config_path] if config_path.is_file() else [path]
    encoder, decoder = _matrices(weights)
    width, size = encoder.shape
    is_gated = kind == "GatedAutoEncoder"
    dictionary = Dictionary(
        name,
        reads,
        reads,
        encoder=encoder,
        encoder_bias=torch.zeros(size)
        if is_gated
        else _first(weights, ("encoder.bias", "b_enc"), size),
        decoder=decoder,
        decoder_bias=_first(weights, ("b_dec", "bias", "decoder_bias", "decoder.bias"), width),
        activation=_activation(kind, weights, settings, trainer, size),
        subtracts_bias=kind not in ("AutoEncoderNew", "JumpReluAutoEncoder"),
        of_modules=given.reads is None,
        model=str(trainer.get("lm_name") or ""),
        sha256=digest(files),
        source=str(source),
    )
    weights.refuse_others()
    return unit_rows(dictionary) if kind == "AutoEncoder" else dictionary


def _weights(path: Path) -> NamedWeights:
    if path.suffix == ".safetensors":
        return read_weights(path, whole_numbers=_IGNORED)
    content = read_pickled_weights(path)
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    scalars = {
        str(key): torch.tensor(value)
        for key, value in content.items()
        if isinstance(value, int | float)
    }
    return NamedWeights(repr(str(path)), tensors | scalars)


def _class_of(weights: NamedWeights, settings: Mapping[str, Tensor]) -> str:
    """The class, by the names of its tensors."""
    if "gate_bias" in weights:
        return "GatedAutoEncoder"
    if "W_enc" in weights:
        return "MatryoshkaBatchTopKSAE" if "k" in settings else "JumpReluAutoEncoder"
    if "k" in settings:
        return "AutoEncoderTopK"
    return "AutoEncoderNew" if "decoder.bias" in weights else "AutoEncoder"


def _matrices(weights: NamedWeights) -> tuple[Tensor, Tensor]:
    """Encoder (width, latents) and decoder (latents, width)."""
    if "W_enc" in weights:
        width, size = weights.shape("W_enc")
        return weights.take("W_enc", width, size), weights.take("W_dec", size, width)
    size, width = weights.shape("encoder.weight")
    encoder = weights.take("encoder.weight", size, width).T.contiguous()
    return encoder, weights.take("decoder.weight", width, size).T.contiguous()


def _activation(
    kind: str,
    weights: NamedWeights,
    settings: Mapping[str, Tensor],
    trainer: Mapping[str, Any],
    size: int,
) -> Activation:
    if kind in ("AutoEncoder", "AutoEncoderNew"):
        return Relu()
    if kind == "GatedAutoEncoder":
        return Gated(*(weights.take(name, size) for name in ("gate_bias", "mag_bias", "r_mag")))
    if kind == "AutoEncoderTopK":
        k = int(settings["k"]) if "k" in settings else trainer.get("k")
        if not isinstance(k, int) or k < 1:
            raise UsageError(f"{weights.where} and its {CONFIG} do not say k of {kind}")
        return TopKRelu(k)
    if kind in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"):
        if "threshold" not in settings:
            raise UsageError(f"{weights.where} has no tensor 'threshold', which {kind} needs")
        threshold = settings["threshold"].float()
        if threshold.numel() not in (1, size) or not bool(threshold.isfinite().all()):
            raise UsageError(
                f"'threshold' in {weights.where} has the shape {tuple(threshold.shape)}; expected one "
                f"finite number, or {size}"
            )
        return JumpRelu(threshold.expand(size).clone() if threshold.numel() == 1 else threshold)
    raise UsageError(
        f"the class {kind!r} of {weights.where} is not known; see docs/dictionaries.md"
    )


def _first(weights: NamedWeights, names: tuple[str, ...], *shape: int) -> Tensor:
    """The tensor under the first of some names that is there."""
    return weights.take(next((name for name in names if name in weights), names[0]), *shape)


def _stated(trainer: Mapping[str, Any]) -> Site | None:
    """Where the trainer's configuration says that it reads."""
    match = _SUBMODULE.search(str(trainer.get("submodule_name") or ""))
    if match:
        return Site(_HOOKS[match[1]], int(match[2]))
    layer = trainer.get("layer")
    return Site("stream", layer) if isinstance(layer, int) and not isinstance(layer, bool) else None
