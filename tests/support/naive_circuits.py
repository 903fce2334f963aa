"""Runs of a circuit by plain loops in double precision, written apart from the product's own.

Each target's reading of the stream is a sum over its sources, one at a time: the source's write of this
run on a kept edge, the ablated write on any other. Nothing is ever subtracted. Attention is written out.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hubel.tools.circuits.circuit_model import CircuitModel
from hubel.tools.circuits.graph import Graph, Mask, Node, Target
from hubel.tools.circuits.prompts import PADDING, PromptPairs

Writes = dict[Node, Tensor]
Readings = dict[Target, Tensor]


@dataclass
class NaivePass:
    """One run's logits at the last position, and what every source wrote and every target read."""

    logits: Tensor
    writes: Writes
    readings: Readings


@dataclass
class NaiveModel:
    """A Llama or a GPT-2 in double precision, one prompt at a time."""

    graph: Graph
    model: Any
    widths: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        config = self.model.config
        width = getattr(config, "head_dim", None) or config.hidden_size // self.graph.n_heads
        self.widths = (config.hidden_size, width)

    def run(
        self,
        ids: Tensor,
        mask: Mask | None = None,
        ablated: Writes | None = None,
        *,
        writes: Writes | None = None,
        readings: Readings | None = None,
        neurons: dict[tuple[int, int], Tensor] | None = None,
    ) -> NaivePass:
        """A run of the kept edges.

        Args:
            mask: the kept edges; None keeps all.
            ablated: what the others carry; None is zeros.
            writes, readings, neurons: take the place of what is computed.
        """
        graph, d_head = self.graph, self.widths[1]
        mask = graph.all_edges if mask is None else mask
        written: Writes = {Node("input"): self.embed(ids)}
        written |= {node: value for node, value in (writes or {}).items() if node.kind == "input"}
        constant = torch.zeros_like(written[Node("input")])  # biases that no source owns
        read_by: Readings = {}

        def read(node: Node, kind: str) -> Tensor:
            target = Target(node, kind)  # pyright: ignore[reportArgumentType]
            reading, column = constant.clone(), graph.targets.index(target)
            for row in range(graph.n_sources_before(target)):
                source = graph.sources[row]
                if mask[row, column]:
                    reading = reading + written[source]
                elif ablated is not None:
                    reading = reading + ablated[source]
            read_by[target] = (readings or {}).get(target, reading)
            return read_by[target]

        def write(node: Node, value: Tensor) -> None:
            written[node] = (writes or {}).get(node, value)

        for layer in range(graph.n_layers):
            heads: list[Tensor] = []
            for head in range(graph.n_heads):
                kv = head // graph.heads_per_kv
                q = self.project(layer, "q", head, read(Node("head", layer, head), "q"))
                k = self.project(layer, "k", kv, read(Node("head", layer, kv), "k"))
                v = self.project(layer, "v", kv, read(Node("head", layer, kv), "v"))
                scores = self.rotate(q) @ self.rotate(k).T / math.sqrt(d_head)
                future = torch.ones_like(scores).triu(1).bool()
                heads.append(scores.masked_fill(future, -math.inf).softmax(-1) @ v)
            out, bias = self.output_projection(layer)
            for head, z in enumerate(heads):
                columns = out[:, head * d_head : (head + 1) * d_head]
                write(Node("head", layer, head), z @ columns.T)
            constant = constant + bias
            read_by_mlp = read(Node("mlp", layer), "mlp")
            write(Node("mlp", layer), self.mlp(layer, read_by_mlp, neurons or {}))
        last = self.final_norm(read(Node("logits"), "logits")[-1:])
        return NaivePass(self.model.lm_head(last)[0], written, read_by)

    @property
    def is_gpt2(self) -> bool:
        return self.model.config.model_type == "gpt2"

    def embed(self, ids: Tensor) -> Tensor:
        if self.is_gpt2:
            body = self.model.transformer
            return body.wte.weight[ids] + body.wpe.weight[: len(ids)]
        return self.model.model.embed_tokens.weight[ids]

    def project(self, layer: int, kind: str, head: int, stream: Tensor) -> Tensor:
        width = self.widths[1]
        rows = slice(head * width, (head + 1) * width)
        if self.is_gpt2:
            block = self.model.transformer.h[layer]
            part = "qkv".index(kind) * self.widths[0]
            rows = slice(part + rows.start, part + rows.stop)
            return (
                block.ln_1(stream) @ block.attn.c_attn.weight[:, rows]
                + block.attn.c_attn.bias[rows]
            )
        block = self.model.model.layers[layer]
        module = getattr(block.self_attn, f"{kind}_proj")
        value = block.input_layernorm(stream) @ module.weight[rows].T
        return value if module.bias is None else value + module.bias[rows]

    def rotate(self, value: Tensor) -> Tensor:
        if self.is_gpt2:
            return value
        half = value.shape[1] // 2
        theta = self.model.config.rope_parameters["rope_theta"]
        speed = theta ** (-torch.arange(half).to(value) / half)
        angle = torch.arange(len(value)).to(value)[:, None] * speed
        first, second = value[:, :half], value[:, half:]
        return torch.cat(
            (
                first * angle.cos() - second * angle.sin(),
                second * angle.cos() + first * angle.sin(),
            ),
            dim=1,
        )

    def output_projection(self, layer: int) -> tuple[Tensor, Tensor]:
        if self.is_gpt2:
            module = self.model.transformer.h[layer].attn.c_proj
            return module.weight.T, module.bias
        module = self.model.model.layers[layer].self_attn.o_proj
        return module.weight, module.weight.new_zeros(len(module.weight))

    def neurons(self, layer: int, stream: Tensor) -> Tensor:
        if self.is_gpt2:
            block = self.model.transformer.h[layer]
            return block.mlp.act(block.mlp.c_fc(block.ln_2(stream)))
        block = self.model.model.layers[layer]
        normed = block.post_attention_layernorm(stream)
        return block.mlp.act_fn(block.mlp.gate_proj(normed)) * block.mlp.up_proj(normed)

    def mlp(self, layer: int, stream: Tensor, values: dict[tuple[int, int], Tensor]) -> Tensor:
        neurons = self.neurons(layer, stream)
        for (at, index), value in values.items():
            if at == layer:
                neurons[:, index] = value
        if self.is_gpt2:
            return self.model.transformer.h[layer].mlp.c_proj(neurons)
        return self.model.model.layers[layer].mlp.down_proj(neurons)

    def final_norm(self, stream: Tensor) -> Tensor:
        return (self.model.transformer.ln_f if self.is_gpt2 else self.model.model.norm)(stream)


def naive_model(model: CircuitModel) -> NaiveModel:
    """A copy of the subject in double precision."""
    return NaiveModel(model.graph, copy.deepcopy(model.subject.model).double())


def metric(pairs: PromptPairs, row: int, logits: Tensor) -> float:
    """The logit difference of one pair."""
    answer, foil = (
        float(logits[tokens[tokens != PADDING]].mean())
        for tokens in (pairs.answer[row], pairs.foil[row])
    )
    return answer - foil


@torch.no_grad()
def naive_circuit(naive: NaiveModel, pairs: PromptPairs, mask: Mask, ablation: str) -> Tensor:
    """The metric of each clean prompt when only the mask's edges carry it."""
    twins = [naive.run(ids).writes for ids in pairs.corrupted]
    mean = {node: torch.stack([twin[node] for twin in twins]).mean(0) for node in twins[0]}
    metrics: list[float] = []
    for row, ids in enumerate(pairs.clean):
        ablated = {"zero": None, "mean": mean, "resample": twins[row]}[ablation]
        metrics.append(metric(pairs, row, naive.run(ids, mask, ablated).logits))
    return torch.tensor(metrics, dtype=torch.float64)


def naive_node_effects(naive: NaiveModel, pairs: PromptPairs, node: Node, other: Node) -> Tensor:
    """Effect of the node writing what the other writes: in the twin's run if they are one node, else
    in the same run."""

    def patched(ids: Tensor, clean: NaivePass, twin: NaivePass) -> NaivePass:
        giver = twin if node == other else clean
        return naive.run(ids, writes={node: giver.writes[other]})

    return _effects(naive, pairs, patched)


def naive_neuron_effects(naive: NaiveModel, pairs: PromptPairs, layer: int, index: int) -> Tensor:
    """Effect of a neuron having its twin's value."""

    def patched(ids: Tensor, clean: NaivePass, twin: NaivePass) -> NaivePass:
        reading = twin.readings[Target(Node("mlp", layer), "mlp")]
        value = naive.neurons(layer, reading)[:, index]
        return naive.run(ids, neurons={(layer, index): value})

    return _effects(naive, pairs, patched)


def naive_path_effects(
    naive: NaiveModel, pairs: PromptPairs, sender: Node, receivers: Sequence[Target], mlps: str
) -> Tensor:
    """Effect of a sender over its direct paths to the receivers; MLPs frozen or recomputed."""

    def patched(ids: Tensor, clean: NaivePass, twin: NaivePass) -> NaivePass:
        frozen = {
            node: value
            for node, value in clean.writes.items()
            if mlps == "freeze" or node.kind != "mlp"
        }
        sent = naive.run(ids, writes=frozen | {sender: twin.writes[sender]})
        return naive.run(ids, readings={target: sent.readings[target] for target in receivers})

    return _effects(naive, pairs, patched)


@torch.no_grad()
def _effects(
    naive: NaiveModel,
    pairs: PromptPairs,
    patched: Callable[[Tensor, NaivePass, NaivePass], NaivePass],
) -> Tensor:
    """Change of the metric of each pair by a patched run, made from the ids and both bare runs."""
    effects: list[float] = []
    for row, ids in enumerate(pairs.clean):
        clean, twin = naive.run(ids), naive.run(pairs.corrupted[row])
        logits = patched(ids, clean, twin).logits
        effects.append(metric(pairs, row, logits) - metric(pairs, row, clean.logits))
    return torch.tensor(effects, dtype=torch.float64)
