"""One forward pass in which chosen activations are read, and edited, on the way.

1. A hook is put at each site that is read or edited; it keeps a reference and copies nothing.
2. The edits of a site work on one copy of its value; readers get the value after the edits.
3. When the last requested value has been read and no logits are needed, a private exception stops
   the pass there.
4. The hooks are removed whatever happens, so the model is left exactly as it was.

A subject with planted units appends their columns to the value at a site: edits and readers get the
wide value, the model goes on with its own columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .address import Site
from .architectures import ModelModules, first_tensor

Edit = Callable[[Float[Tensor, "batch seq width"]], None]
"""Changes a value in place; the value is a copy that nothing else uses."""

AppendColumns = Callable[[Site, Float[Tensor, "batch seq width"]], Float[Tensor, "batch seq wide"]]
"""Appends columns to the value at a site; returns it unchanged where there is nothing to append."""

Consume = Callable[[Site, Float[Tensor, "batch seq wide"]], None]
"""Called with each requested value as soon as it is computed."""


@dataclass(frozen=True)
class Capture:
    """The results of a pass.

    Attributes:
        activations: by site, (batch seq column), on the subject's device.
        logits: (batch seq vocab), or (batch 1 vocab) for the last position only; None unless
            requested.
    """

    activations: dict[Site, Float[Tensor, "batch seq column"]]
    logits: Float[Tensor, "batch seq vocab"] | None = None


def joined(parts: Sequence[Capture]) -> Capture:
    """Those of parts of the rows, one after the other; a single part as it is."""
    if len(parts) == 1:
        return parts[0]
    with torch.inference_mode():
        sites = parts[0].activations
        activations = {
            site: torch.cat([part.activations[site] for part in parts]) for site in sites
        }
        scores = [part.logits for part in parts if part.logits is not None]
        return Capture(activations, torch.cat(scores) if scores else None)


class PassEdits(NamedTuple):
    """How a forward pass differs from a bare one: edits by site, and columns that it appends."""

    edits: Mapping[Site, Sequence[Edit]]
    append_columns: AppendColumns | None = None


class _AllRead(Exception):
    """Stops a forward pass of which nothing more is needed."""


@torch.inference_mode()
def stream(
    model: nn.Module,
    parts: ModelModules,
    ids: Int[Tensor, "batch seq"],
    sites: Sequence[Site],
    consume: Consume,
    edits: Mapping[Site, Sequence[Edit]],
    *,
    logits: bool = False,
    last_only: bool = False,
    append_columns: AppendColumns | None = None,
    mask: Bool[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, "batch seq vocab"] | None:
    """Run the model on token ids and hand on each site's value; returns the logits if requested.

    Sites and edits are of the raw kinds: mlp, z, stream, mid, mlp_in, attn_out and mlp_out.

    Args:
        mask: tokens that the others see; None for all, as a causal model sees no padding after them.
    """
    unread = set(sites)

    def visit(site: Site, value: Tensor) -> Tensor:
        wide = append_columns(site, value) if append_columns else value
        if site in edits:
            wide = wide.clone()
            for edit in edits[site]:
                edit(wide)
        if site in unread:
            consume(site, wide)
            unread.discard(site)
            if not logits and not unread:
                raise _AllRead
        return wide[..., : value.shape[-1]]

    output = None
    with suppress(_AllRead), _hooks(parts, unread | set(edits), set(edits), visit):
        options: dict[str, Any] = {"logits_to_keep": 1} if last_only else {}
        options |= {} if mask is None else {"attention_mask": mask}
        output = model(ids, use_cache=False, **options)
    return output.logits if output is not None and logits else None


@contextmanager
def _hooks(
    parts: ModelModules,
    sites: set[Site],
    edited: set[Site],
    visit: Callable[[Site, Tensor], Tensor],
) -> Iterator[None]:
    with ExitStack() as stack:
        for site in sites:
            handle = _hook(parts, site, visit, replaces=site in edited)
            stack.callback(handle.remove)
        yield


class HookPlace(NamedTuple):
    """The module at a raw site, and whether the site's value is its output or its first input."""

    module: nn.Module
    is_output: bool


def hook_place(parts: ModelModules, site: Site) -> HookPlace:
    """Where the value of a raw site passes."""
    layer = parts.layers[max(site.layer, 0)]
    if site.kind == "stream" and site.layer < 0:  # the embedding, which enters the first layer
        return HookPlace(layer.whole, is_output=False)
    outputs = {"stream": layer.whole, "attn_out": layer.attention_write, "mlp_out": layer.mlp_write}
    if site.kind in outputs:
        return HookPlace(outputs[site.kind], is_output=True)
    inputs = {
        "mlp": layer.mlp_down,
        "z": layer.attention_out,
        "mid": layer.mlp_norm,
        "mlp_in": layer.mlp,
    }
    module = inputs[site.kind]
    assert module is not None  # nothing asks for `mid` where there is no such norm
    return HookPlace(module, is_output=False)


def _hook(
    parts: ModelModules, site: Site, visit: Callable[[Site, Tensor], Tensor], *, replaces: bool
) -> RemovableHandle:
    """Call `visit` with the site's value; with `replaces`, the model goes on with its result."""
    module, is_output = hook_place(parts, site)

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        value = visit(site, first_tensor(output))
        if not replaces:
            return None
        return value if isinstance(output, Tensor) else (value, *output[1:])

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            value = visit(site, args[0])
            return ((value, *args[1:]), kwargs) if replaces else None
        name = next(iter(kwargs))  # a layer that names the argument
        value = visit(site, kwargs[name])
        return (args, kwargs | {name: value}) if replaces else None

    if is_output:
        return module.register_forward_hook(after)
    return module.register_forward_pre_hook(before, with_kwargs=True)
