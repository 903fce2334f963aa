"""Where queries, keys, values and norms are in each family: what edges need besides a subject's
architecture.

A family whose writes are normalised once more before they are added (Gemma 2 and 3) has nodes and
no edges: what one of its heads adds to the stream is not linear in the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import UsageError
from ..subject import Subject
from ..subject.architectures import matrix
from .graph import Graph

Layout = Literal["separate", "stacked", "interleaved"]


@dataclass(frozen=True)
class Wiring:
    """Module paths of a family, from a layer.

    Attributes:
        projections: the modules that make queries, keys and values.
        layout: three modules; one with queries, keys and values in turn; or one with each head's three side by side.
    """

    attention_norm: str = "input_layernorm"
    mlp_norm: str = "post_attention_layernorm"
    projections: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    layout: Layout = "separate"


WIRINGS: dict[str, Wiring] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma"), Wiring()),
    "phi3": Wiring(projections=("self_attn.qkv_proj",), layout="stacked"),
    "gpt2": Wiring("ln_1", "ln_2", ("attn.c_attn",), "stacked"),
    "gpt_neox": Wiring(projections=("attention.query_key_value",), layout="interleaved"),
}


class QkvSlice(NamedTuple):
    """One head's rows of a projection."""

    module: int
    rows: slice


class StreamReaders(NamedTuple):
    """The modules of one layer at which edges end and begin."""

    attention_norm: nn.Module
    mlp_norm: nn.Module
    projections: tuple[nn.Module, ...]


class CircuitModel:
    """A subject as the nodes and edges of its graph. `selftest.open_circuit_model` builds one and
    checks it.

    Raises:
        UsageError: the family has no wiring or no edges, or a module of the wiring is missing.
    """

    def __init__(self, subject: Subject, wiring: Wiring | None = None) -> None:
        family = subject.architecture.model_type
        wiring = wiring or WIRINGS.get(family)
        if wiring is None:
            reason = (
                "it normalises its writes, so it has nodes and no edges"
                if subject.architecture.mlp_write != subject.architecture.mlp
                else "its wiring is not described in tools/circuits/circuit_model.py"
            )
            raise UsageError(
                f"no circuit of edges in {subject.name!r}, of type {family!r}: {reason}"
            )
        self.subject, self.wiring = subject, wiring
        config: Any = subject.model.config
        self.graph = Graph(
            subject.shape.n_layers,
            subject.shape.n_heads,
            getattr(config, "num_key_value_heads", None) or subject.shape.n_heads,
            bool(getattr(config, "use_parallel_residual", False)),
        )
        self.readers = tuple(_joints(layer.whole, wiring, family) for layer in subject.parts.layers)

    def __repr__(self) -> str:
        return f"CircuitModel({self.subject.name!r}, {self.graph.n_edges} edges)"

    @cached_property
    def qkv_slices(self) -> tuple[QkvSlice, ...]:
        """Where each query, key and value of a layer is, in the order of the graph's targets."""
        heads, kv, width = self.graph.n_heads, self.graph.n_kv_heads, self.subject.head_dim
        if self.wiring.layout == "interleaved":
            starts = [(0, (3 * head + part) * width) for part in range(3) for head in range(heads)]
        elif self.wiring.layout == "stacked":
            starts = [(0, at * width) for at in range(heads + 2 * kv)]
        else:
            counts = ((0, heads), (1, kv), (2, kv))
            starts = [(module, head * width) for module, count in counts for head in range(count)]
        return tuple(QkvSlice(module, slice(start, start + width)) for module, start in starts)

    def qkv_weights(
        self, layer: int
    ) -> tuple[Float[Tensor, "slot head_dim d_model"], Float[Tensor, "slot head_dim"]]:
        """Weights and biases that make each query, key and value of a layer."""
        modules = self.readers[layer].projections
        weights = torch.stack([matrix(modules[slot.module])[slot.rows] for slot in self.qkv_slices])
        biases = [cast("Tensor | None", modules[slot.module].bias) for slot in self.qkv_slices]
        flat = [
            weights.new_zeros(weights.shape[1]) if bias is None else bias[slot.rows]
            for slot, bias in zip(self.qkv_slices, biases, strict=True)
        ]
        return weights, torch.stack(flat)

    def logits(self, ids: Int[Tensor, "pairs seq"]) -> Float[Tensor, "pairs vocab"]:
        """Logits of the last position, in a bare pass; hooks of the caller are in force."""
        logits = self.subject.model(
            ids.to(self.subject.device), use_cache=False, logits_to_keep=1
        ).logits[:, -1]
        return at_least_float32(logits)

    def head_writes(
        self, layer: int, z: Float[Tensor, "*rows width"]
    ) -> Float[Tensor, "head *rows d_model"]:
        """What each head adds to the stream: W_O^h z_h, the projection's bias left out."""
        heads = z.unflatten(-1, (self.graph.n_heads, self.subject.head_dim))
        return torch.einsum(
            "...hk,hdk->h...d", heads, self.subject.head_matrices(layer).to(z.dtype)
        )


def _joints(layer: nn.Module, wiring: Wiring, family: str) -> StreamReaders:
    return StreamReaders(
        _find(layer, wiring.attention_norm, family),
        _find(layer, wiring.mlp_norm, family),
        find_projections(layer, wiring, family),
    )


def find_projections(layer: nn.Module, wiring: Wiring, family: str) -> tuple[nn.Module, ...]:
    """The modules of a layer that make queries, keys and values; raises UsageError naming the one that is not there."""
    return tuple(_find(layer, path, family) for path in wiring.projections)


def _find(layer: nn.Module, path: str, family: str) -> nn.Module:
    try:
        return attrgetter(path)(layer)
    except AttributeError as error:
        raise UsageError(
            f"a {family!r} layer has no module {path!r} ({error}); correct it in tools/circuits/circuit_model.py"
        ) from error


def at_least_float32(value: Tensor) -> Tensor:
    """Halves as singles; doubles stay doubles."""
    return value if value.dtype == torch.float64 else value.float()
