"""One forward pass with chosen activations read, and edited, on the way.

1. A hook is put where each wanted or edited value passes; it keeps a reference and copies nothing.
2. An edit works on one copy of the value at its place; what is read there is the value after the
   edit.
3. When the last wanted value has been read and no logits are asked for, a private exception stops
   the pass there.
4. The hooks are removed whatever happens, so the model is left exactly as it was.

A subject with planted units widens what passes at a place by their columns: edits and readers see
the wide value, the model goes on with its own columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .address import Site
from .architectures import Layer, ModelModules, first_tensor

Edit = Callable[[Float[Tensor, "batch seq width"]], None]
"""Changes a value in place; it is given a copy that is its own."""

AppendColumns = Callable[[Site, Float[Tensor, "batch seq width"]], Float[Tensor, "batch seq wide"]]
"""Adds columns to the value at a place, behind its own; the same value where there is nothing to add."""

Consume = Callable[[Site, Float[Tensor, "batch seq wide"]], None]
"""Told of each wanted value as soon as it exists."""

RAW_KINDS = ("mlp", "z", "stream", "mlp_in")


@dataclass(frozen=True)
class Capture:
    """What a pass gave.

    Attributes:
        activations: by site, (batch seq column), on the subject's device.
        logits: (batch seq vocab), or (batch 1 vocab) of the last position; None when they were not asked for.
    """

    activations: dict[Site, Float[Tensor, "batch seq column"]]
    logits: Float[Tensor, "batch seq vocab"] | None = None


class _Enough(Exception):
    pass


def run(
    model: nn.Module,
    parts: ModelModules,
    ids: Int[Tensor, "batch seq"],
    sites: Sequence[Site],
    edits: Mapping[Site, Sequence[Edit]],
    *,
    logits: bool = False,
    last_only: bool = False,
    widen: AppendColumns | None = None,
) -> Capture:
    """Run the model on token ids; sites and edits are of the raw kinds mlp, z, stream and mlp_in."""
    found: dict[Site, Tensor] = {}
    scores = stream(
        model,
        parts,
        ids,
        sites,
        found.__setitem__,
        edits,
        logits=logits,
        last_only=last_only,
        widen=widen,
    )
    return Capture(found, scores)


@torch.inference_mode()
def stream(
    model: nn.Module,
    parts: ModelModules,
    ids: Int[Tensor, "batch seq"],
    sites: Sequence[Site],
    read: Consume,
    edits: Mapping[Site, Sequence[Edit]],
    *,
    logits: bool = False,
    last_only: bool = False,
    widen: AppendColumns | None = None,
) -> Float[Tensor, "batch seq vocab"] | None:
    """The same, each value handed on and not kept; returns the logits if they are asked for."""
    left = set(sites)

    def visit(site: Site, value: Tensor) -> Tensor:
        width = value.shape[-1]
        wide = widen(site, value) if widen else value
        if site in edits:
            wide = wide.clone()
            for edit in edits[site]:
                edit(wide)
        if site in left:
            read(site, wide)
            left.discard(site)
            if not logits and not left:
                raise _Enough
        return wide[..., :width]

    output = None
    with suppress(_Enough), _hooked(parts, left | set(edits), set(edits), visit):
        options: dict[str, Any] = {"logits_to_keep": 1} if last_only else {}
        output = model(ids, use_cache=False, **options)
    return output.logits if output is not None and logits else None


@contextmanager
def _hooked(
    parts: ModelModules,
    places: set[Site],
    edited: set[Site],
    visit: Callable[[Site, Tensor], Tensor],
) -> Iterator[None]:
    with ExitStack() as stack:
        for site in places:
            handle = _hook(parts.layers[site.layer], site, visit, replaces=site in edited)
            stack.callback(handle.remove)
        yield


def _hook(
    layer: Layer, site: Site, visit: Callable[[Site, Tensor], Tensor], *, replaces: bool
) -> Any:
    if site.kind == "stream":

        def after(_module: nn.Module, _args: Any, output: Any) -> Any:
            value = visit(site, first_tensor(output))
            if not replaces:
                return None
            return value if isinstance(output, Tensor) else (value, *output[1:])

        return layer.whole.register_forward_hook(after)

    def before(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        value = visit(site, args[0])
        return (value, *args[1:]) if replaces else None

    module = {"mlp": layer.mlp_down, "z": layer.attention_out, "mlp_in": layer.mlp}[site.kind]
    return module.register_forward_pre_hook(before)
