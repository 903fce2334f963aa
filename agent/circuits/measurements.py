"""What is measured of the subject, as small values: this process can measure one, or a worker to which it travels.

A measurement says what is done to a batch of prompts. `batches_of` cuts it into one measurement for
each batch, under the name that the journal has for it. Wherever such a part is measured, it has the
same prompts in one batch, and so the same numbers to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch

from ...tools.circuits.ablation import Ablation, run_circuit
from ...tools.circuits.graph import Edge, Graph, Mask, Node, Target
from ...tools.circuits.head_observations import HeadObserver, positions_of
from ...tools.circuits.methods import edge_effects
from ...tools.circuits.path_patching import path_patch
from ...tools.circuits.swap_edges import move_effects
from ...tools.circuits.sweep import Sweep
from ...tools.circuits.tasks.logit_differences import measure_logit_differences
from ...tools.circuits.tasks.prepared import PairBatch
from .prompts import PromptSet

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel

ATTRIBUTED_TOKENS = 96
"""Tokens of clean prompts attributed at once: 0.4 GB on top of the default subject (`tools/circuits/memory`)."""


class Measurement(Protocol):
    """One measurement: a small frozen dataclass of plain values.

    Attributes:
        of_edges: whether the value is an array, pairs by edges, for a few prompts at a time; else it
            is JSON, for a whole batch.
    """

    of_edges: ClassVar[bool]

    @property
    def request(self) -> dict[str, Any]:
        """Its name in the journal, without the prompts."""
        ...

    def measure(self, model: CircuitModel, batch: PairBatch) -> Any:
        """Its value on a batch."""
        ...


@dataclass(frozen=True, eq=False)
class BatchMeasurement:
    """A measurement on one batch; `request` is its whole name in the journal."""

    measurement: Measurement
    batch: PairBatch
    request: dict[str, Any]

    def measure(self, model: CircuitModel) -> Any:
        """The value."""
        return self.measurement.measure(model, self.batch)


def batches_of(prompts: PromptSet, measurement: Measurement) -> Iterator[BatchMeasurement]:
    """The parts of a measurement, in the order of the prompts."""
    for digest, batch in zip(prompts.digests, prompts.batches, strict=True):
        request = {**measurement.request, "prompts": digest}
        if not measurement.of_edges:
            yield BatchMeasurement(measurement, batch, request)
            continue
        for rows in batch.pairs.row_batches(ATTRIBUTED_TOKENS):
            part = {**request, "rows": [rows.start, rows.stop]}
            yield BatchMeasurement(measurement, batch.take(rows), part)


# One number per prompt, or a few.


@dataclass(frozen=True)
class LogitDifferenceReadings:
    """The whole subject's logit differences, on clean and on corrupted prompts, and the best tokens."""

    of_edges: ClassVar[bool] = False

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "readings"}

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[list[float]]:
        """As `Measurement.measure`."""
        differences = measure_logit_differences(model.subject, [batch])
        return [column.tolist() for column in differences]


@dataclass(frozen=True)
class CircuitMetric:
    """The logit difference when only a circuit's edges carry the clean prompt; `edges`: `pack_mask`."""

    of_edges: ClassVar[bool] = False
    edges: bytes
    ablation: Ablation

    @classmethod
    def of(cls, mask: Mask, ablation: Ablation = "resample") -> CircuitMetric:
        """That of a mask's edges."""
        return cls(pack_mask(mask), ablation)

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "run", "mask": _digest(self.edges), "ablation": self.ablation}

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[float]:
        """As `Measurement.measure`."""
        mask = _unpack(self.edges, model.graph)
        return run_circuit(model, batch.pairs, mask, self.ablation).double().tolist()


@dataclass(frozen=True)
class PatchedNodes:
    """Exact effects of patching whole heads and MLPs from the corrupted prompts."""

    of_edges: ClassVar[bool] = False
    nodes: tuple[Node, ...]

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "nodes", "units": list(map(str, self.nodes))}

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[list[float]]:
        """As `Measurement.measure`."""
        return Sweep(model, batch.pairs).nodes(self.nodes).double().tolist()


@dataclass(frozen=True)
class PatchedEdges:
    """Exact effects of patching single edges from the corrupted prompts."""

    of_edges: ClassVar[bool] = False
    edges: tuple[Edge, ...]

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "edges", "units": list(map(str, self.edges))}

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[list[float]]:
        """As `Measurement.measure`."""
        return Sweep(model, batch.pairs).edges(self.edges).double().tolist()


@dataclass(frozen=True)
class InterchangedNodes:
    """Effects of each first component writing what the second one writes."""

    of_edges: ClassVar[bool] = False
    swaps: tuple[tuple[Node, Node], ...]

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "swaps", "units": [f"{node}<-{other}" for node, other in self.swaps]}

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[list[float]]:
        """As `Measurement.measure`."""
        return Sweep(model, batch.pairs).interchange(self.swaps).double().tolist()


@dataclass(frozen=True)
class PatchedPaths:
    """Effect of each sender over its direct paths to all receivers together."""

    of_edges: ClassVar[bool] = False
    senders: tuple[Node, ...]
    receivers: tuple[Target, ...]

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {
            "what": "paths",
            "senders": list(map(str, self.senders)),
            "receivers": [f"{target.node}<{target.input}>" for target in self.receivers],
        }

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[list[float]]:
        """As `Measurement.measure`."""
        return path_patch(model, batch.pairs, self.senders, self.receivers).double().tolist()


@dataclass(frozen=True)
class ObservedNodes:
    """What heads attend to and what they write (`HeadObservation`)."""

    of_edges: ClassVar[bool] = False
    nodes: tuple[Node, ...]

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "looks", "nodes": list(map(str, self.nodes))}

    def measure(self, model: CircuitModel, batch: PairBatch) -> list[dict[str, Any]]:
        """As `Measurement.measure`."""
        marks = positions_of(batch.pairs, batch.marks)
        observer = HeadObserver(model, batch.pairs, marks)
        return [vars(observer.observe(node)) for node in self.nodes]


# One number per edge and prompt.


@dataclass(frozen=True)
class EdgeScores:
    """Every edge's estimated effect by a method (`tools/circuits/methods`)."""

    of_edges: ClassVar[bool] = True
    method: str
    steps: int

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "scores", "method": self.method, "steps": self.steps}

    def measure(self, model: CircuitModel, batch: PairBatch) -> np.ndarray:
        """As `Measurement.measure`."""
        effects = edge_effects(self.method, model, batch.pairs, self.steps)
        return _columns(effects, model.graph)


@dataclass(frozen=True)
class EdgeMoves:
    """What each edge does when it alone is put into a circuit, or taken out of it; `edges`: `pack_mask`."""

    of_edges: ClassVar[bool] = True
    edges: bytes

    @property
    def request(self) -> dict[str, Any]:
        """As `Measurement.request`."""
        return {"what": "changes", "mask": _digest(self.edges)}

    def measure(self, model: CircuitModel, batch: PairBatch) -> np.ndarray:
        """As `Measurement.measure`."""
        mask = _unpack(self.edges, model.graph)
        return _columns(move_effects(model, batch.pairs, mask), model.graph)


def pack_mask(mask: Mask) -> bytes:
    """A mask as it travels, a bit for each source and target."""
    return np.packbits(mask.cpu().numpy()).tobytes()


def mask_digest(mask: Mask) -> str:
    """Names a mask in the journal's requests."""
    return _digest(pack_mask(mask))


def _digest(packed: bytes) -> str:
    return hashlib.sha256(packed).hexdigest()[:16]


def _unpack(packed: bytes, graph: Graph) -> Mask:
    shape = graph.all_edges.shape
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=shape.numel())
    return torch.from_numpy(bits.astype(bool)).view(shape)


def _columns(effects: torch.Tensor, graph: Graph) -> np.ndarray:
    """The numbers of the edges that there are, pairs by edges."""
    return effects[:, graph.all_edges].float().numpy()
