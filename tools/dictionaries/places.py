"""Names of hooks in other tools, as places of the forward pass.

TransformerLens names a hook (`blocks.12.hook_resid_post`); Hugging Face and sparsify name a module
(`model.layers.12.mlp`), which means its output. Two names that look like the input of the MLP are
not: `hook_mlp_in` is the stream before the MLP's norm, and `ln2.hook_normalized` is that norm's
output before its weight.
"""

from __future__ import annotations

import re
from typing import NamedTuple, cast, get_args

from ..errors import UsageError
from ..subject.address import Site, VectorKind
from .dictionary import InputForm


class NamedPlace(NamedTuple):
    """What a hook's name means; see `Dictionary.input_form`."""

    place: Site
    input_form: InputForm = "plain"


_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_MODULE = re.compile(
    r"(?:[\w.]*\.)?(?:layers|layer|h|blocks)\.(\d+)(?:\.(mlp|self_attn|attn|attention))?"
)
_HOOKS: dict[str, VectorKind] = {
    "hook_resid_post": "stream",
    "hook_resid_mid": "mid",
    "hook_mlp_in": "mid",
    "hook_attn_out": "attn_out",
    "attn.hook_z": "z",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_post": "mlp",
    "mlp.hook_out": "mlp_out",
    "hook_mlp_out": "mlp_out",
}
_NAME_OF_HOOK: dict[VectorKind, str] = {
    "stream": "hook_resid_post",
    "mid": "hook_resid_mid",
    "attn_out": "hook_attn_out",
    "z": "attn.hook_z",
    "mlp_in": "mlp.hook_in",
    "mlp": "mlp.hook_post",
    "mlp_out": "hook_mlp_out",
}


def place_of_hook(name: str) -> NamedPlace:
    """The place of a TransformerLens hook or of a Hugging Face module's output.

    Raises:
        UsageError: no such place is known.
    """
    if match := _BLOCK.fullmatch(name):
        layer, hook = int(match[1]), match[2]
        if hook == "hook_resid_pre":
            return NamedPlace(Site("stream", layer - 1))
        if hook == "ln2.hook_normalized":
            return NamedPlace(Site("mlp_in", layer), "before_norm_weight")
        if hook in _HOOKS:
            return NamedPlace(Site(_HOOKS[hook], layer))
    if match := _MODULE.fullmatch(name):
        return NamedPlace(place_of_module(name))
    if name == "hook_embed" or re.fullmatch(r"(?:[\w.]*\.)?(?:embed_tokens|wte|embed_in)", name):
        return NamedPlace(Site("stream", -1))
    raise UsageError(
        f"no place is known for the hook {name!r}; known are blocks.N.hook_resid_pre, "
        f"{', '.join(f'blocks.N.{hook}' for hook in _HOOKS)}, blocks.N.ln2.hook_normalized, and modules "
        "such as layers.N and layers.N.mlp"
    )


def is_module_output(name: str) -> bool:
    """Whether a name means what a module puts out, before a norm that may follow it."""
    return name.endswith("mlp.hook_out") or _MODULE.fullmatch(name) is not None


def place_of_module(name: str, *, inside: bool = False) -> Site:
    """The place of a module's output, or with `inside` of its input.

    Raises:
        UsageError: the module is not a layer, its MLP or its attention.
    """
    match = _MODULE.fullmatch(name)
    if match is None or (inside and match[2] not in (None, "mlp")):
        raise UsageError(
            f"no place is known for the module {name!r}; known are layers.N and layers.N.mlp, and the "
            "output of layers.N.self_attn"
        )
    layer = int(match[1])
    if match[2] is None:
        return Site("stream", layer - 1 if inside else layer)
    if match[2] == "mlp":
        return Site("mlp_in" if inside else "mlp_out", layer)
    return Site("attn_out", layer)


def hook_of_place(place: Site, input_form: InputForm = "plain") -> str:
    """TransformerLens' name of a place; that of the embedding is the input of block 0."""
    if input_form == "before_norm_weight":
        return f"blocks.{place.layer}.ln2.hook_normalized"
    if place == Site("stream", -1):
        return "blocks.0.hook_resid_pre"
    return f"blocks.{place.layer}.{_NAME_OF_HOOK[cast(VectorKind, place.kind)]}"


def module_of_place(place: Site) -> str | None:
    """sparsify's name of a place; None where no module's output is it."""
    suffix = {"stream": "", "mlp_out": ".mlp", "attn_out": ".self_attn"}.get(place.kind)
    return None if suffix is None or place.layer < 0 else f"layers.{place.layer}{suffix}"


def parse_place(text: str) -> Site:
    """A place as it is printed, such as stream.12; stream.-1 is the embedding.

    Raises:
        UsageError: it is none.
    """
    hook, _, layer = text.partition(".")
    is_embedding = text == "stream.-1"
    if hook not in get_args(VectorKind) or not (layer.isdecimal() or is_embedding):
        raise UsageError(
            f"place {text!r} given; expected {', '.join(get_args(VectorKind))} and a layer, as in stream.12"
        )
    return Site(cast(VectorKind, hook), int(layer))
