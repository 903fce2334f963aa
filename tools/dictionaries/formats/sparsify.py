"""EleutherAI's sparsify: `<hookpoint>/cfg.json` and `sae.safetensors`.

The folder's name is the hook point. `layers.15.mlp` is the output of that module, or for a
transcoder its input and its output; `layers.15` is the residual stream after block 15. `W_dec` has
one row for each latent. The decoder's bias is subtracted from the input unless it is a transcoder.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import UsageError
from ..activations import GroupMax, TopKRelu
from ..dictionary import Dictionary, Place
from ..files import digest, read_config, read_weights, whole_number
from ..places import place_of_hook, place_of_module
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


def _stated(folder: str, transcodes: bool) -> tuple[Place | None, Place | None]:
    """Where a folder of this name reads and writes; None if it is not named after a module."""
    try:
        output = place_of_hook(folder).place
        return (place_of_module(folder, inside=True) if transcodes else output), output
    except UsageError:
        return None, None
