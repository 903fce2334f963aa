"""Path patching: what a sender does through the direct paths to some receivers, and through nothing
else.

1. What every head and MLP writes on the clean prompt is recorded, and what the sender writes on the
   corrupted twin.
2. A run of the clean prompt in which the sender writes what it wrote on the twin and all other
   heads what they wrote on the clean prompt; MLPs too (`freeze`), or they are computed anew
   (`recompute`, so that paths through MLPs count). What the receivers make of that, their queries,
   keys and values, or the final norm's input, is kept.
3. A clean run in which the receivers, and they alone, are given that. Its metric less the clean one
   is the effect.

Wang et al. 2022 (IOI; MLPs recomputed), Goldowsky-Dill et al. 2023 (single edges: MLPs frozen).
Under grouped-query attention a receiver's key or value is that of a key-value head, and serves all
query heads that share it. Effects are given by prompt: a mean over prompts can cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .circuit_model import CircuitModel
from .forward_record import ForwardRecord, record
from .graph import Node, Target
from .hooks import Hooks, temporary_hooks
from .prompts import PromptPairs

Mlps = Literal["freeze", "recompute"]


def path_patch(
    model: CircuitModel,
    pairs: PromptPairs,
    senders: Sequence[Node],
    receivers: Sequence[Target],
    mlps: Mlps = "recompute",
) -> Float[Tensor, "sender pairs"]:
    """Effect of each sender through all the receivers together: m(patched) - m(clean).

    Raises:
        UsageError: a sender or receiver that the model lacks, or a sender that comes after every receiver.
    """
    if mlps not in get_args(Mlps):
        raise UsageError(f"mlps {mlps!r} given; choose {', '.join(get_args(Mlps))}")
    for sender in senders:
        _check(model, sender, receivers)
    with torch.inference_mode():
        clean = record(model, pairs.clean, pairs.logit_difference)
        twin = record(model, pairs.corrupted, pairs.logit_difference)
        assert clean.metric is not None  # recorded
        run = partial(_effect, model, pairs, clean, twin, receivers=receivers, mlps=mlps)
        return torch.stack([run(sender) - clean.metric for sender in senders])


def _check(model: CircuitModel, sender: Node, receivers: Sequence[Target]) -> None:
    graph = model.graph
    if sender not in graph.sources:
        raise UsageError(
            f"sender {str(sender)!r} given; expected input, a head or an MLP of {model.subject.name}"
        )
    if missing := [target for target in receivers if target not in graph.targets]:
        names = ", ".join(f"{target.node}<{target.input}>" for target in missing)
        raise UsageError(
            f"no receiver {names}: {graph.n_heads} queries, {graph.n_kv_heads} keys and values a layer"
        )
    if not any(
        graph.sources.index(sender) < graph.n_sources_before(target) for target in receivers
    ):
        raise UsageError(
            f"sender {str(sender)!r} comes after every receiver: there is no path to patch"
        )


def _effect(
    model: CircuitModel,
    pairs: PromptPairs,
    clean: ForwardRecord,
    twin: ForwardRecord,
    sender: Node,
    receivers: Sequence[Target],
    mlps: Mlps,
) -> Float[Tensor, " pairs"]:
    frozen = ForwardRecord()
    with temporary_hooks() as put:
        _freeze(model, put, clean, twin, sender, mlps)
        _keep(model, put, frozen)
        model.logits(pairs.clean)
    with temporary_hooks() as put:
        for target in receivers:
            _give(model, put, frozen, target)
        return pairs.logit_difference(model.logits(pairs.clean))


def _freeze(
    model: CircuitModel,
    put: Hooks,
    clean: ForwardRecord,
    twin: ForwardRecord,
    sender: Node,
    mlps: Mlps,
) -> None:
    """Everything writes what it wrote on the clean prompt, the sender what it wrote on the twin."""
    if sender.kind == "input":
        put.on_input(model.subject.parts.layers[0].whole, lambda _value: twin.stream[0])
    for layer, parts in enumerate(model.subject.parts.layers):
        z = clean.z[layer].clone()
        if sender.kind == "head" and sender.layer == layer:
            width = model.subject.head_dim
            columns = slice(sender.head * width, (sender.head + 1) * width)
            z[..., columns] = twin.z[layer][..., columns]
        put.on_input(parts.attention_out, lambda _value, z=z: z)
        if sender.kind == "mlp" and sender.layer == layer:
            put.on_output(parts.mlp_write, lambda _value, written=twin.mlp[layer]: written)
        elif mlps == "freeze":
            put.on_output(parts.mlp_write, lambda _value, written=clean.mlp[layer]: written)


def _keep(model: CircuitModel, put: Hooks, found: ForwardRecord) -> None:
    """What every receiver makes of the stream."""

    def keep(group: dict, key: object, value: Tensor) -> None:
        group[key] = value

    for layer, joints in enumerate(model.readers):
        for index, module in enumerate(joints.projections):
            put.on_output(module, partial(keep, found.projected, (layer, index)))
        put.on_output(joints.mlp_norm, partial(keep, found.normed, layer))
    put.on_input(model.subject.parts.final_norm, partial(keep, found.stream, model.graph.n_layers))


def _give(model: CircuitModel, put: Hooks, found: ForwardRecord, target: Target) -> None:
    layer = target.node.layer
    if target.input == "logits":
        put.on_input(
            model.subject.parts.final_norm, lambda _value: found.stream[model.graph.n_layers]
        )
        return
    if target.input == "mlp":
        put.on_output(model.readers[layer].mlp_norm, lambda _value: found.normed[layer])
        return
    slot = model.qkv_slices[model.graph.targets.index(target) - model.graph.first_target(layer)]

    def replace(value: Tensor) -> Tensor:
        new = value.clone()
        new[..., slot.rows] = found.projected[layer, slot.module][..., slot.rows]
        return new

    put.on_output(model.readers[layer].projections[slot.module], replace)
