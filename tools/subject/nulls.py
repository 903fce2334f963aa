"""Nulls and controls: artificial units that are explained along with the real ones.

Nulls have nothing to explain; keeping an explanation of one is a false positive:
    noise       Gaussian of standard deviation 1, a function of the seed, the unit and the text
    shuffled    a real unit's activations, permuted over whole contexts within each split
Controls have something to explain, but are not learned units; they are reported separately:
    rotated     one coordinate of the layer's MLP activations after a random rotation
    redrawn     a real neuron with new random incoming weights, Gaussian with the same norms
    random      a latent that reads a random direction (`tools.dictionaries.random_latents`)

Each has the address of a further unit (say `mlp.6.1536`) and is computed from what a pass captures
at its `sources`. On new text, run `text_for(ids)` in place of `ids`; over a whole split, call
`arrange` on the complete values.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import UsageError
from .address import Site, Unit
from .architectures import matrix

if TYPE_CHECKING:
    from .subject import Subject

Captured = Mapping[Site, Float[Tensor, "batch seq column"]]


def _seed(*parts: object) -> int:
    """A numpy seed from the printed form of some values."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8])


@dataclass(frozen=True, kw_only=True)
class ArtificialUnit(ABC):
    """A null or a control.

    Attributes:
        unit: the address under which it is explained.
        seed: with the address it determines everything random about the unit.
    """

    unit: Unit
    seed: int = 0
    kind: ClassVar[Literal["noise", "shuffled", "rotated", "redrawn", "random"]]
    is_control: ClassVar[bool] = False

    @property
    def sources(self) -> tuple[Site, ...]:
        """What a pass must capture for `values`."""
        return ()

    @abstractmethod
    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        """Raw activations on a batch of texts."""

    def arrange(
        self,
        values: Float[np.ndarray, "context seq"],
        length: Int[np.ndarray, " context"],
        split: str,
    ) -> Float[np.ndarray, "context seq"]:
        """Order the values of all contexts of one split; only `shuffled` changes them."""
        return values

    def text_for(self, ids: Sequence[int]) -> Sequence[int]:
        """The text to run in place of some new text."""
        return ids


@dataclass(frozen=True, kw_only=True)
class NoiseUnit(ArtificialUnit):
    """Gaussian noise; the same text gives the same noise, with or without padding after it."""

    kind: ClassVar = "noise"

    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        rows = [self._row(row) for row in ids.tolist()]
        return torch.from_numpy(np.stack(rows)).to(ids.device)

    def _row(self, ids: list[int]) -> Float[np.ndarray, " seq"]:
        text = np.trim_zeros(np.array(ids), "b").tolist()
        rng = np.random.default_rng(_seed(self.seed, self.unit, text))
        return rng.standard_normal(len(ids), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class ShuffledUnit(ArtificialUnit):
    """A real unit's activations on other contexts.

    Attributes:
        source: the real unit, and `column` its column in its site's activations.
        donors: contexts to take values from on new text; a hash of the text chooses one.
    """

    source: Unit
    column: int
    donors: tuple[tuple[int, ...], ...] = ()
    kind: ClassVar = "shuffled"

    @property
    def sources(self) -> tuple[Site, ...]:
        return (self.source.place,)

    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        return captured[self.source.place][..., self.column].float()

    def arrange(
        self,
        values: Float[np.ndarray, "context seq"],
        length: Int[np.ndarray, " context"],
        split: str,
    ) -> Float[np.ndarray, "context seq"]:
        """Give each context the values of another one of the split.

        Where the other one is shorter, its values from position 1 on repeat; one of a single token
        has none, and gives 0.
        """
        rng = np.random.default_rng(_seed(self.seed, self.unit, split))
        order = rng.permutation(len(values))
        position = np.arange(values.shape[1])
        donor_length = np.asarray(length, dtype=np.int64)[order, None]
        wrapped = 1 + (position - 1) % np.maximum(donor_length - 1, 1)
        index = np.where(position < donor_length, position, np.minimum(wrapped, donor_length - 1))
        arranged = np.take_along_axis(values[order], index, axis=1)
        return np.where((donor_length > 1) | (position == 0), arranged, 0)

    def text_for(self, ids: Sequence[int]) -> Sequence[int]:
        if not self.donors:
            raise UsageError(
                f"{str(self.unit)!r} is a shuffled null without donor contexts; "
                "it has no values on new text"
            )
        donor = self.donors[_seed(self.seed, self.unit, list(ids)) % len(self.donors)]
        return tuple(np.resize(donor, len(ids)).tolist())


@dataclass(frozen=True, kw_only=True)
class RotatedUnit(ArtificialUnit):
    """One row of a random rotation of a layer's neurons, as `direction` (unit norm)."""

    direction: Float[Tensor, " neuron"] = field(compare=False, repr=False)
    kind: ClassVar = "rotated"
    is_control: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[Site, ...]:
        return (Site("mlp", self.unit.layer),)

    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        activations = captured[self.sources[0]].float()
        return activations @ self.direction.to(activations.device)


@dataclass(frozen=True, kw_only=True)
class RedrawnUnit(ArtificialUnit):
    """A neuron with random incoming rows: up and, where the family has gates, gate.

    Attributes:
        rows: (1 or 2, d_model), gate first.
        bias: one number per row, the real neuron's own.
        activation: the family's nonlinearity.
    """

    rows: Float[Tensor, "row d_model"] = field(compare=False, repr=False)
    bias: Float[Tensor, " row"] = field(compare=False, repr=False)
    activation: Callable[[Tensor], Tensor] = field(compare=False, repr=False)
    kind: ClassVar = "redrawn"
    is_control: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[Site, ...]:
        return (Site("mlp_in", self.unit.layer),)

    @torch.inference_mode()
    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        mlp_in = captured[self.sources[0]].float()
        rows, bias = self.rows.to(mlp_in.device), self.bias.to(mlp_in.device)
        inputs = mlp_in @ rows.T + bias  # batch seq row
        activated = self.activation(inputs[..., 0])
        return activated * inputs[..., 1] if len(rows) == 2 else activated


def shuffled_unit(
    subject: Subject,
    unit: Unit,
    source: Unit,
    *,
    seed: int = 0,
    donors: Sequence[Sequence[int]] = (),
) -> ShuffledUnit:
    """A null with the activations of `source`, a unit of the subject, in other contexts."""
    column = subject.shape.column(source)
    texts = tuple(tuple(text) for text in donors)
    return ShuffledUnit(unit=unit, seed=seed, source=source.unsided, column=column, donors=texts)


def rotated_units(subject: Subject, units: Sequence[Unit], *, seed: int = 0) -> list[RotatedUnit]:
    """Controls of one layer: different rows of one random rotation of its neurons.

    The rotation depends on the seed and the layer only.

    Raises:
        UsageError: the units are of several layers, or more than the layer has neurons.
    """
    layers = {unit.layer for unit in units}
    if len(layers) != 1:
        raise UsageError(
            f"rotated controls requested for layers {sorted(layers)}; request one layer at a time"
        )
    layer = layers.pop()
    width = subject.shape.count(Site("mlp", layer))
    if len(units) > width:
        raise UsageError(
            f"{len(units)} rotated controls requested; layer {layer} has {width} neurons"
        )
    rng = np.random.default_rng(_seed("rotated", seed, layer))
    basis, upper = np.linalg.qr(rng.standard_normal((len(units), width)).T)
    # With the signs fixed, the first rows do not depend on how many there are.
    rows = (basis * np.sign(np.diag(upper))).T
    return [
        RotatedUnit(unit=unit, seed=seed, direction=torch.from_numpy(row.astype(np.float32)))
        for unit, row in zip(units, rows, strict=True)
    ]


def redrawn_unit(subject: Subject, unit: Unit, source: Unit, *, seed: int = 0) -> RedrawnUnit:
    """A control like the neuron `source` of the layer, with random incoming rows of its norms."""
    if source.site != "mlp" or source.layer != unit.layer:
        raise UsageError(
            f"{str(source)!r} cannot be redrawn as {str(unit)!r}; give a neuron of the same layer"
        )
    rows, bias = incoming_weights(subject, source)
    rng = np.random.default_rng(_seed("redrawn", seed, unit, source))
    random = torch.from_numpy(rng.standard_normal(rows.shape).astype(np.float32)).to(rows.device)
    random = random / random.norm(dim=1, keepdim=True) * rows.norm(dim=1, keepdim=True)
    activation = subject.parts.layers[unit.layer].activation
    return RedrawnUnit(unit=unit, seed=seed, rows=random, bias=bias, activation=activation)


def incoming_weights(
    subject: Subject, neuron: Unit
) -> tuple[Float[Tensor, "row d_model"], Float[Tensor, " row"]]:
    """A neuron's incoming weights (gate first, then up) and biases."""
    index = subject.shape.column(neuron)
    modules = subject.parts.layers[neuron.layer].mlp_rows
    sources = [(module, index) for module in modules]
    if subject.architecture.fused:  # one projection, the gate's rows first
        sources.append((modules[0], index + subject.shape.count(neuron.place)))
    rows = torch.stack([matrix(module)[row].float() for module, row in sources])
    return rows, torch.stack([_bias(module, row) for module, row in sources]).to(rows.device)


def _bias(module: nn.Module, row: int) -> Float[Tensor, ""]:
    bias = cast("Tensor | None", getattr(module, "bias", None))
    return torch.zeros(()) if bias is None else bias[row].float()
