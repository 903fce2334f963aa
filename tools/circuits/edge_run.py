"""One pass in which every target reads the stream in its own way: what runs of circuits and of
mixtures of edges share.

1. As each source writes, the run is given its present write, which depends on what the source itself
   has read, and its ablated one.
2. Each query, key and value of a layer is projected from its own reading of the stream and put in
   place at the output of its projection. Keys and values stay one per key-value head.
3. MLPs and the final norm read theirs at their inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from .circuit_model import CircuitModel
from .forward_record import ForwardRecord
from .hooks import temporary_hooks
from .prompts import PromptPairs


@dataclass(frozen=True, eq=False)
class AblatedWrites:
    """What an ablated edge carries: z and the MLPs' writes by layer; one row for all pairs if it is a constant."""

    embedding: Float[Tensor, "rows seq d_model"]
    z: dict[int, Tensor]
    mlp: dict[int, Tensor]

    @property
    def n_rows(self) -> int:
        """Pairs, or 1 if all pairs share one value."""
        return len(self.embedding)

    @classmethod
    def from_record(cls, record: ForwardRecord) -> AblatedWrites:
        """The writes of a pass."""
        return cls(record.stream[0], record.z, record.mlp)

    def rows(self, rows: range) -> AblatedWrites:
        """Those of some of the pairs."""
        if self.n_rows == 1:
            return self
        cut = slice(rows.start, rows.stop)
        z, mlp = ({layer: value[cut] for layer, value in by.items()} for by in (self.z, self.mlp))
        return AblatedWrites(self.embedding[cut], z, mlp)

    def mean(self) -> AblatedWrites:
        """The mean over the pairs, at each position."""
        z, mlp = (
            {layer: value.mean(0, keepdim=True) for layer, value in by.items()}
            for by in (self.z, self.mlp)
        )
        return AblatedWrites(self.embedding.mean(0, keepdim=True), z, mlp)


class EdgeRun(ABC):
    """A pass of the clean prompts; subclasses say what targets read.

    Args:
        ablated: None means that ablated edges carry nothing.
    """

    def __init__(
        self, model: CircuitModel, pairs: PromptPairs, ablated: AblatedWrites | None
    ) -> None:
        self.model, self.pairs, self.ablated = model, pairs, ablated

    @abstractmethod
    def read(
        self, targets: slice, stream: Float[Tensor, "pairs seq d_model"]
    ) -> Float[Tensor, "target pairs seq d_model"]:
        """What each of these targets reads, given the stream as it is."""

    @abstractmethod
    def add_writes(
        self,
        sources: slice,
        written: Float[Tensor, "source pairs seq d_model"],
        ablated: Float[Tensor, "source rows seq d_model"] | None,
    ) -> None:
        """Take what sources have just written, and what their ablated edges carry."""

    def logits(self) -> Float[Tensor, "pairs vocab"]:
        """Logits of the last position."""
        model, graph = self.model, self.model.graph
        with temporary_hooks() as hooks:
            layers = zip(model.readers, model.subject.parts.layers, strict=True)
            for layer, (readers, parts) in enumerate(layers):
                projected: dict[int, Tensor] = {}
                hooks.on_input(readers.attention_norm, partial(self._project, layer, projected))
                for index, module in enumerate(readers.projections):
                    hooks.on_output(module, partial(model.replace_qkv, index, projected))
                hooks.on_input(parts.attention_out, partial(self._add_heads, layer))
                hooks.on_input(readers.mlp_norm, partial(self._read_one, graph.mlp_target(layer)))
                hooks.on_output(parts.mlp_write, partial(self._add_mlp, layer))
            final_norm = model.subject.parts.final_norm
            hooks.on_input(final_norm, partial(self._read_one, graph.logits_target))
            return model.logits(self.pairs.clean)

    def _read_one(self, target: slice, stream: Tensor) -> Tensor:
        return self.read(target, stream)[0]

    def _project(self, layer: int, projected: dict[int, Tensor], stream: Tensor) -> None:
        if layer == 0:
            ablated = self.ablated and self.ablated.embedding[None]
            self.add_writes(slice(0, 1), stream[None], ablated)
        readings = self.read(self.model.graph.attention_targets(layer), stream)
        # `forward`, because calling the norm would run this very hook again.
        normed = self.model.readers[layer].attention_norm.forward(readings)
        weights, biases = self.model.qkv_weights(layer)
        values = torch.einsum("hbsd,hkd->hbsk", normed, weights) + biases[:, None, None]
        projected.update(enumerate(values))

    def _add_heads(self, layer: int, z: Tensor) -> None:
        ablated = self.ablated and self.model.head_writes(layer, self.ablated.z[layer])
        written = self.model.head_writes(layer, z)
        self.add_writes(self.model.graph.head_sources(layer), written, ablated)

    def _add_mlp(self, layer: int, written: Tensor) -> None:
        ablated = self.ablated and self.ablated.mlp[layer][None]
        self.add_writes(self.model.graph.mlp_source(layer), written[None], ablated)
