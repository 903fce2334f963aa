"""Path patching: what a sender does through the direct paths to some receivers, and through nothing
else.

1. Record what every head and MLP writes on the clean prompt, and what the sender writes on the
   corrupted twin.
2. Run the clean prompt with the sender's write from the twin and all other heads' writes from the
   clean prompt. MLPs are held as well (`freeze`) or recomputed (`recompute`, so that paths through
   MLPs count). Keep what the receivers make of that: their queries, keys and values, or the final
   norm's input.
3. Run the clean prompt with these values in the receivers alone. Its metric less the clean one is
   the effect.

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
from .forward_record import ForwardRecord, keep_readings, record
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
        UsageError: the model lacks a sender or receiver, or a sender comes after every receiver.
    """
    if mlps not in get_args(Mlps):
        raise UsageError(f"mlps {mlps!r} given; choose {', '.join(get_args(Mlps))}")
    for sender in senders:
        _check(model, sender, receivers)
    with torch.inference_mode():
        # 1. Both passes.
        clean = record(model, pairs.clean, pairs.logit_difference)
        twin = record(model, pairs.corrupted, pairs.logit_difference)
        assert clean.metric is not None  # recorded
        effects: list[Tensor] = []
        for sender in senders:
            received = ForwardRecord()
            # 2. What the receivers make of the sender's write.
            with temporary_hooks() as hooks:
                _freeze_writes(model, hooks, clean, twin, sender, mlps)
                keep_readings(model, hooks, received)
                final_norm, last = model.subject.parts.final_norm, model.graph.n_layers
                hooks.on_input(final_norm, partial(received.stream.__setitem__, last))
                model.logits(pairs.clean)
            # 3. A clean run in which the receivers alone are given that.
            with temporary_hooks() as hooks:
                for target in receivers:
                    _replace_reading(model, hooks, received, target)
                metric = pairs.logit_difference(model.logits(pairs.clean))
            effects.append(metric - clean.metric)
        return torch.stack(effects)


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
    if not any(graph.sources.index(sender) < graph.n_sources_before(t) for t in receivers):
        raise UsageError(
            f"sender {str(sender)!r} comes after every receiver: there is no path to patch"
        )


def _freeze_writes(
    model: CircuitModel,
    hooks: Hooks,
    clean: ForwardRecord,
    twin: ForwardRecord,
    sender: Node,
    mlps: Mlps,
) -> None:
    """Everything writes what it wrote on the clean prompt, the sender what it wrote on the twin."""
    if sender.kind == "input":
        hooks.on_input(model.subject.parts.layers[0].whole, lambda _value: twin.stream[0])
    for layer, parts in enumerate(model.subject.parts.layers):
        z = clean.z[layer].clone()
        if sender.kind == "head" and sender.layer == layer:
            width = model.subject.head_dim
            columns = slice(sender.head * width, (sender.head + 1) * width)
            z[..., columns] = twin.z[layer][..., columns]
        hooks.on_input(parts.attention_out, lambda _value, z=z: z)
        if sender.kind == "mlp" and sender.layer == layer:
            hooks.on_output(parts.mlp_write, lambda _value, written=twin.mlp[layer]: written)
        elif mlps == "freeze":
            hooks.on_output(parts.mlp_write, lambda _value, written=clean.mlp[layer]: written)


def _replace_reading(
    model: CircuitModel, hooks: Hooks, received: ForwardRecord, target: Target
) -> None:
    layer = target.node.layer
    if target.input == "logits":
        final = received.stream[model.graph.n_layers]
        hooks.on_input(model.subject.parts.final_norm, lambda _value: final)
        return
    readers = model.readers[layer]
    if target.input == "mlp":
        hooks.on_output(readers.mlp_norm, lambda _value: received.normed[layer])
        return
    index = model.graph.targets.index(target) - model.graph.first_target(layer)
    module, rows = model.qkv_slices[index]
    value = received.projected[layer, module][..., rows]
    hooks.on_output(readers.projections[module], partial(model.replace_qkv, module, {index: value}))
