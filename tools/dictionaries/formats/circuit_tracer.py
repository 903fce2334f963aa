"""circuit-tracer: one file for each layer of a transcoder set, or two for each of a cross-layer transcoder.

    layer_3.safetensors                            W_enc, W_dec (latents, width), b_enc, b_dec; where
                                                   they exist activation_function.threshold, W_skip, k
    W_enc_3.safetensors, W_dec_3.safetensors       the same with _3 in the names; W_dec_3 is (latents,
                                                   layers from the third on, width)
    config.yaml next to them                       model_name, feature_input_hook, feature_output_hook

`W_enc` is (latents, width), transposed against SAELens. A latent of a cross-layer transcoder writes
into its own layer and all later ones. Here it is one dictionary for each layer: `decoder` is what it
writes into its own layer, `later_decoders` what it writes into the others.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import UsageError
from ..activations import Activation, JumpRelu, Relu, TopKRelu
from ..dictionary import Dictionary
from ..files import NamedWeights, digest, read_weights
from ..places import is_module_output, place_of_hook
from .given_places import GivenPlaces

_LAYER = re.compile(r"layer_(\d+)\.safetensors")
_CROSS_LAYER = re.compile(r"W_enc_(\d+)\.safetensors")
_SETTING = re.compile(r"""^(\w+):[ \t]*["']?([^"'#\n]*?)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)
CONFIG = "config.yaml"
CROSS_LAYER_NOTE = (
    "one layer of a cross-layer transcoder: the reconstruction is this layer's own part, without what "
    "latents of earlier layers write here"
)


def matches(source: Path) -> bool:
    """Whether a file is one layer of a set."""
    is_layer = _LAYER.fullmatch(source.name) or _CROSS_LAYER.fullmatch(source.name)
    return is_layer is not None and source.is_file()


def read(source: Path, name: str, given: GivenPlaces) -> Dictionary:
    """Read one layer.

    Raises:
        UsageError: a tensor is missing or of another shape, or no file says where it reads.
        CorruptError: a file is cut short.
    """
    settings = _settings(source.parent / CONFIG)
    match = _LAYER.fullmatch(source.name) or _CROSS_LAYER.fullmatch(source.name)
    assert match is not None  # see `matches`
    layer = int(match[1])
    stated = None
    if input_hook := settings.get("feature_input_hook"):
        stated = place_of_hook(f"blocks.{layer}.{input_hook}")
    output_hook = settings.get("feature_output_hook", "hook_mlp_out")
    reads, writes = given.resolve(
        f"{str(source)!r}, without a {CONFIG} next to it that names feature_input_hook,",
        stated and stated.place,
        place_of_hook(f"blocks.{layer}.{output_hook}").place,
        transcodes=True,
    )
    is_cross_layer = source.name.startswith("W_enc")
    weights, files = (
        _cross_layer(source, layer) if is_cross_layer else (read_weights(source), [source])
    )
    size, width = weights.shape("W_enc")
    later = None
    if is_cross_layer:
        _, n_layers, _ = weights.shape("W_dec", 3)
        decoders = weights.take("W_dec", size, n_layers, width)
        decoder, later = decoders[:, 0].contiguous(), decoders[:, 1:].transpose(0, 1).contiguous()
    else:
        decoder = weights.take("W_dec", size, width)
    dictionary = Dictionary(
        name,
        reads,
        writes,
        encoder=weights.take("W_enc", size, width).T.contiguous(),
        encoder_bias=weights.take("b_enc", size),
        decoder=decoder,
        decoder_bias=weights.take("b_dec", width),
        activation=_activation(weights, settings, size),
        subtracts_bias=False,
        skip=weights.take("W_skip", width, width) if "W_skip" in weights else None,
        later_decoders=later,
        input_form=stated.input_form if stated else "plain",
        of_modules=given.reads is None and is_module_output(output_hook),
        model=settings.get("model_name", ""),
        sha256=digest(files),
        source=str(source),
        notes=(CROSS_LAYER_NOTE,) if is_cross_layer else (),
    )
    weights.refuse_others()
    return dictionary


def _cross_layer(source: Path, layer: int) -> tuple[NamedWeights, list[Path]]:
    """Both files of a layer as one, without the layer's number in the names."""
    decoders = source.with_name(f"W_dec_{layer}.safetensors")
    if not decoders.is_file():
        raise UsageError(f"{str(decoders)!r} is missing; it holds the decoder of {source.name}")
    tensors = {
        name.removesuffix(f"_{layer}"): tensor
        for path in (source, decoders)
        for name, tensor in read_weights(path).tensors.items()
    }
    return NamedWeights(f"{str(source)!r} and {decoders.name}", tensors), [source, decoders]


def _activation(weights: NamedWeights, settings: dict[str, str], size: int) -> Activation:
    for threshold in ("activation_function.threshold", "threshold"):
        if threshold in weights:
            weights.flatten(threshold)  # some are (1, latents)
            return JumpRelu(weights.take(threshold, size))
    if "k" in weights:
        return TopKRelu(int(weights.take("k")))
    kind, k = settings.get("activation", "relu").lower(), settings.get("k", "")
    if kind == "topk" and k.isdecimal() and int(k):
        return TopKRelu(int(k))
    if kind != "relu":
        raise UsageError(
            f"{weights.where} has no threshold and no k, but {CONFIG} says activation {kind!r}"
            f"{f' and k {k!r}' if k else ''}; expected relu, or topk with k"
        )
    return Relu()


def _settings(path: Path) -> dict[str, str]:
    """The scalar settings of a `config.yaml`; none if there is no such file."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")[: 1 << 20]
    return {match[1]: match[2] for match in _SETTING.finditer(text) if match[2]}
