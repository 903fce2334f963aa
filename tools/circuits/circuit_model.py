"""A subject as a graph: where each family's queries, keys, values and norms are, which edges need in
addition to the subject's architecture.

A family whose writes are normalised once more before they are added (Gemma 2 and 3) has nodes but
no edges: what one of its heads adds to the stream is not linear in the head.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from ..subject.non_finite import require_finite
from .graph import Graph, Target

Layout = Literal["separate", "stacked", "interleaved"]


@dataclass(frozen=True)
class Wiring:
    """Module paths of a family, relative to a layer.

    Attributes:
        projections: the modules that make queries, keys and values.
        layout: three modules; one module with queries, then keys, then values; or one module with
            each head's three next to each other.
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
    """Where one head's query, key or value is: the index of its projection module, and its rows there."""

    module: int
    rows: slice


class QkvWeights(NamedTuple):
    """What makes each query, key and value of a layer, in the order of `CircuitModel.qkv_slices`."""

    weights: Float[Tensor, "qkv head_dim d_model"]
    biases: Float[Tensor, "qkv head_dim"]


class StreamReaders(NamedTuple):
    """The modules through which one layer reads the residual stream."""

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
        subject.require_decoder("circuits")
        family = subject.architecture.model_type
        wiring = wiring or WIRINGS.get(family)
        if wiring is None:
            reason = "its wiring is not described in tools/circuits/circuit_model.py"
            if subject.architecture.normalises_writes:
                reason = "it normalises its writes, so it has nodes and no edges"
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
        self.readers = tuple(
            StreamReaders(
                _find(layer.whole, wiring.attention_norm, family),
                _find(layer.whole, wiring.mlp_norm, family),
                find_projections(layer.whole, wiring, family),
            )
            for layer in subject.parts.layers
        )

    def __repr__(self) -> str:
        return f"CircuitModel({self.subject.name!r}, {self.graph.n_edges} edges)"

    @cached_property
    def qkv_slices(self) -> tuple[QkvSlice, ...]:
        """Where each query, key and value of a layer is, in the order of the graph's targets."""
        heads, kv, width = self.graph.n_heads, self.graph.n_kv_heads, self.subject.head_dim
        if self.wiring.layout == "interleaved":
            starts = [(0, (3 * head + part) * width) for part in range(3) for head in range(heads)]
        elif self.wiring.layout == "stacked":
            starts = [(0, index * width) for index in range(heads + 2 * kv)]
        else:
            counts = ((0, heads), (1, kv), (2, kv))
            starts = [(module, head * width) for module, count in counts for head in range(count)]
        return tuple(QkvSlice(module, slice(start, start + width)) for module, start in starts)

    def value_slice(self, head: int) -> QkvSlice:
        """Where the value that a (query) head reads is."""
        first_value = self.graph.n_heads + self.graph.n_kv_heads
        return self.qkv_slices[first_value + head // self.graph.heads_per_kv]

    def bias_before(self, target: Target) -> Float[Tensor, " d_model"]:
        """What the attention layers before a target add to the stream that no head writes."""
        n_sources = self.graph.n_sources_before(target)
        layers = range(self.graph.n_layers)
        n_layers = sum(self.graph.head_sources(layer).stop <= n_sources for layer in layers)
        return self._summed_biases[n_layers]

    @cached_property
    def _summed_biases(self) -> Float[Tensor, "layers_and_one d_model"]:
        """Biases of the attention's output projections, summed over the layers before each."""
        dtype = sum_dtype(self.subject.dtype)
        sums = [torch.zeros(self.subject.d_model, device=self.subject.device, dtype=dtype)]
        for parts in self.subject.parts.layers:
            bias = cast("Tensor | None", getattr(parts.attention_out, "bias", None))
            sums.append(sums[-1] if bias is None else sums[-1] + bias.detach())
        return torch.stack(sums)

    def qkv_weights(self, layer: int) -> QkvWeights:
        """Weights and biases of a layer's queries, keys and values; a missing bias is zero."""
        modules = self.readers[layer].projections
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for module, rows in self.qkv_slices:
            weight = matrix(modules[module])[rows]
            bias = cast("Tensor | None", modules[module].bias)
            weights.append(weight)
            biases.append(weight.new_zeros(len(weight)) if bias is None else bias[rows])
        return QkvWeights(torch.stack(weights), torch.stack(biases))

    def replace_qkv(
        self,
        module: int,
        values: Mapping[int, Float[Tensor, "pairs seq head_dim"]],
        output: Float[Tensor, "pairs seq width"],
    ) -> Float[Tensor, "pairs seq width"]:
        """A projection module's output in which some queries, keys or values are replaced.

        Args:
            values: by index into `qkv_slices`; those of other modules are ignored.
        """
        new = output.clone()
        for index, value in values.items():
            if self.qkv_slices[index].module == module:
                new[..., self.qkv_slices[index].rows] = value
        return new

    def logits(self, ids: Int[Tensor, "pairs seq"]) -> Float[Tensor, "pairs vocab"]:
        """Logits of the last position, in a bare pass; the caller's hooks are active."""
        logits = self.subject.model(
            ids.to(self.subject.device), use_cache=False, logits_to_keep=1
        ).logits[:, -1]
        subject = self.subject
        require_finite(logits, subject.name, subject.dtype, "the logits", edited=True)
        return at_least_float32(logits)

    def head_writes(
        self, layer: int, z: Float[Tensor, "*rows width"]
    ) -> Float[Tensor, "head *rows d_model"]:
        """What each head adds to the stream: W_O^h z_h, without the projection's bias."""
        heads = z.unflatten(-1, (self.graph.n_heads, self.subject.head_dim))
        return torch.einsum(
            "...hk,hdk->h...d", heads, self.subject.head_matrices(layer).to(z.dtype)
        )


def find_projections(layer: nn.Module, wiring: Wiring, family: str) -> tuple[nn.Module, ...]:
    """The modules of a layer that make queries, keys and values; raises UsageError for a missing one."""
    return tuple(_find(layer, path, family) for path in wiring.projections)


def _find(layer: nn.Module, path: str, family: str) -> nn.Module:
    try:
        return attrgetter(path)(layer)
    except AttributeError as error:
        raise UsageError(
            f"a {family!r} layer has no module {path!r} ({error}); correct it in tools/circuits/circuit_model.py"
        ) from error


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums of writes are kept in: float32 for half precision."""
    return torch.promote_types(dtype, torch.float32)


def at_least_float32(value: Tensor) -> Tensor:
    """Half precision as float32; float64 stays as it is."""
    return value if value.dtype == torch.float64 else value.float()
