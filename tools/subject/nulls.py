"""Units that are scanned beside the real ones so that a run can be doubted: nulls and controls.

Nulls have nothing to explain, and an explanation of one must not be kept:
    noise       Gaussian of standard deviation 1, a function of the seed, the unit and the text
    shuffled    a real unit's activations, permuted over whole contexts within each split
Controls have something to explain that is no learned unit; they are shown beside the run:
    rotated     one coordinate of the layer's MLP activations after a random rotation
    redrawn     a real unit's neuron whose incoming weights are drawn anew, Gaussian, with the same norm

Each looks like one more unit (`unit`, say `mlp.6.1536`) and is computed from what a pass captures
at its `sources`. On new text, run `text_for(ids)` in place of `ids`; over a whole split, `arrange`
the values once they are all there.
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
    """A seed for numpy out of anything that prints."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8])


@dataclass(frozen=True, kw_only=True)
class ArtificialUnit(ABC):
    """A null or a control.

    Attributes:
        unit: the address under which it is scanned.
        seed: everything random about it follows from this and its address.
    """

    unit: Unit
    seed: int = 0
    kind: ClassVar[Literal["noise", "shuffled", "rotated", "redrawn"]]
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
        """The text to run when activations on some new text are wanted."""
        return ids


@dataclass(frozen=True, kw_only=True)
class NoiseUnit(ArtificialUnit):
    """Gaussian noise; the same text gives the same noise, with or without padding behind it."""

    kind: ClassVar = "noise"

    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        rows = [self._row(row) for row in ids.tolist()]
        return torch.from_numpy(np.stack(rows)).to(ids.device)

    def _row(self, ids: list[int]) -> Float[np.ndarray, " seq"]:
        text = np.trim_zeros(np.array(ids), "b").tolist()
        return np.random.default_rng(_seed(self.seed, self.unit, text)).standard_normal(
            len(ids), dtype=np.float32
        )


@dataclass(frozen=True, kw_only=True)
class ShuffledUnit(ArtificialUnit):
    """A real unit's activations on other contexts than the ones shown.

    Attributes:
        source: the real unit, and `column` where it stands in its site's activations.
        donors: contexts to take values from on new text, chosen by a hash of it.
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
        """Give each context another one's values; where the other is shorter, its values from position 1 on repeat."""
        order = np.random.default_rng(_seed(self.seed, self.unit, split)).permutation(len(values))
        position = np.arange(values.shape[1])
        short = np.asarray(length, dtype=np.int64)[order, None]
        wrapped = 1 + (position - 1) % np.maximum(short - 1, 1)
        taken = np.where(position < short, position, np.minimum(wrapped, np.maximum(short - 1, 0)))
        return np.take_along_axis(values[order], taken, axis=1)

    def text_for(self, ids: Sequence[int]) -> Sequence[int]:
        if not self.donors:
            raise UsageError(
                f"{str(self.unit)!r} is a shuffled null without donor contexts; it has no values on new text"
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
        bias: one number a row, the real neuron's own.
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
        entering = captured[self.sources[0]].float()
        rows, bias = self.rows.to(entering.device), self.bias.to(entering.device)
        inputs = entering @ rows.T + bias  # batch seq row
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
    """Controls of one layer: different rows of one random rotation of its neurons, seeded by seed
    and layer.

    Raises:
        UsageError: the units are of several layers, or more than the layer has neurons.
    """
    layers = {unit.layer for unit in units}
    if len(layers) != 1:
        raise UsageError(
            f"rotated controls of layers {sorted(layers)} asked for; ask for one layer at a time"
        )
    layer = layers.pop()
    width = subject.shape.count(Site("mlp", layer))
    if len(units) > width:
        raise UsageError(
            f"{len(units)} rotated controls asked for; layer {layer} has {width} neurons"
        )
    gaussian = np.random.default_rng(_seed("rotated", seed, layer)).standard_normal(
        (len(units), width)
    )
    basis, upper = np.linalg.qr(gaussian.T)
    rows = (
        basis * np.sign(np.diag(upper))
    ).T  # with the signs set, the first rows do not depend on how many there are
    return [
        RotatedUnit(unit=unit, seed=seed, direction=torch.from_numpy(row.astype(np.float32)))
        for unit, row in zip(units, rows, strict=True)
    ]


def redrawn_unit(subject: Subject, unit: Unit, source: Unit, *, seed: int = 0) -> RedrawnUnit:
    """A control like the neuron `source` (same layer as `unit`) with its incoming rows drawn anew at the same norms."""
    if source.site != "mlp" or source.layer != unit.layer:
        raise UsageError(
            f"{str(source)!r} cannot be redrawn as {str(unit)!r}; give a neuron of the same layer"
        )
    rows, bias = incoming_weights(subject, source)
    gaussian = np.random.default_rng(_seed("redrawn", seed, unit, source)).standard_normal(
        rows.shape
    )
    fresh = torch.from_numpy(gaussian.astype(np.float32)).to(rows.device)
    fresh = fresh / fresh.norm(dim=1, keepdim=True) * rows.norm(dim=1, keepdim=True)
    activation = subject.parts.layers[unit.layer].activation
    return RedrawnUnit(unit=unit, seed=seed, rows=fresh, bias=bias, activation=activation)


def incoming_weights(
    subject: Subject, neuron: Unit
) -> tuple[Float[Tensor, "row d_model"], Float[Tensor, " row"]]:
    """A neuron's incoming weights (gate first, then up) and biases, whichever way the family stores them."""
    index = subject.shape.column(neuron)
    modules = subject.parts.layers[neuron.layer].mlp_rows
    if subject.architecture.fused:
        places = [(modules[0], index), (modules[0], index + subject.shape.count(neuron.place))]
    else:
        places = [(module, index) for module in modules]
    rows = torch.stack([matrix(module)[row].float() for module, row in places])
    return rows, torch.stack([_bias(module, row) for module, row in places]).to(rows.device)


def _bias(module: nn.Module, row: int) -> Float[Tensor, ""]:
    bias = cast("Tensor | None", getattr(module, "bias", None))
    return torch.zeros(()) if bias is None else bias[row].float()
