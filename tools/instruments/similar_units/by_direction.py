"""Units near a unit by direction: what they write, what they read, or what a head moves.

1. Neurons, by what they write: cosine of the columns of the down projections. By what they read:
   cosine of the rows of the projection whose output goes through the nonlinearity (the gate of a
   gated MLP). The cosines of many units with a layer's neurons are one matrix product.
2. Heads: cosine, in the Frobenius sense, of what moves a token's value to the stream,
   OV = W_O^h W_V^kv. Under grouped queries several heads share a W_V. O^T O' and V V'^T have
   head_dim squared entries, so no OV is ever written out: <OV, O'V'> = sum of (O^T O') * (V V'^T).
3. A named direction is compared with what neurons write and with the other named directions.

All layers are compared, since all write to the same stream. A cosine of 0.3 is far beyond chance in
576 dimensions (standard deviation 0.04).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ...errors import ArgumentError, UsageError
from ...subject.address import Site, Unit
from ..circuit_wiring import circuit_wiring
from ..neuron_weights import read_directions, write_directions
from ..registry import InstrumentContext, Result, UnitAddress, instrument, rounded
from .result import (
    DEPTH_PHRASES,
    N_RECORDED,
    Depth,
    Extremes,
    SimilarUnit,
    SimilarUnits,
    relative_depth,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ...circuits.circuit_model import CircuitModel
    from ...subject import Subject

By = Literal["write", "read"]
HEADS_AT_ONCE = 32
"""Heads compared with a layer's in one product: 70 MB for 32 heads of 128 dimensions each."""


@dataclass(frozen=True)
class NearestUnit:
    """A unit and how similar its direction is; `depth` is where it is, seen from the given unit."""

    unit: str
    cosine: float
    depth: Depth


@dataclass(frozen=True)
class Nearest(Result):
    """Units with the most similar, and the most opposite, directions.

    Attributes:
        compared: number of units compared.
    """

    unit: str
    by: str
    compared: int
    alike: list[NearestUnit]
    opposite: list[NearestUnit]

    def render(self) -> str:
        head = (
            f"of {self.compared:,} units, nearest to {self.unit} by what they {self.by} (cosine):"
        )
        units = (*self.alike, *self.opposite)
        lines = (f"  {n.cosine:+.3f} {n.unit}, {DEPTH_PHRASES[n.depth]}" for n in units)
        return "\n".join([head, *lines])


@instrument("nearest", needs=("subject",))
def nearest(
    context: InstrumentContext,
    unit: UnitAddress,
    by: By = "write",
    k: Annotated[
        int, Field(ge=1, le=50, description="most alike to list; a third as many opposite ones")
    ] = 6,
) -> Nearest:
    """Find units that write (or read) nearly the same direction as a unit, or the opposite.

    Near neighbours often share a meaning, or split one: look at their exemplars to see what the
    unit does not do. Heads are compared by what they move (their OV matrix).
    """
    from ...circuits.circuit_model import CircuitModel

    address, subject = Unit.parse(unit).unsided, context.require_subject()
    subject.shape.column(address)
    if address.site == "head" and by == "read":
        raise ArgumentError(
            "nearest: a head reads three ways (query, key, value); leave `by` out to compare its OV"
        )
    if address.site == "resid" and by == "read":
        raise ArgumentError("nearest: a named direction is only written; leave `by` out")
    if address.site == "sae" and by == "read":
        raise ArgumentError("nearest: latents are compared by their decoder rows; leave `by` out")
    if address.site == "head":
        with circuit_wiring("nearest"):
            model = CircuitModel(subject)
        (extremes,) = _compare_heads(model, [address], k)
    else:
        direction = _direction(subject, address, by)
        (extremes,) = _compare_with_neurons(subject, {address: direction}, by, k)
        if address.site == "resid":
            _add_named_directions(extremes, subject, address, direction)
        if address.site == "sae":
            _add_latents(extremes, subject, address, direction)

    layer_of = subject.shape.layer_of
    layer = layer_of(address)

    def listed(units: Sequence[SimilarUnit]) -> list[NearestUnit]:
        return [
            NearestUnit(
                name, rounded([cosine])[0], relative_depth(layer_of(Unit.parse(name)), layer)
            )
            for name, cosine in units
        ]

    opposite = [u for u in extremes.smallest()[: max(1, k // 3)] if u.value < 0]
    return Nearest(
        str(address),
        "move" if address.site == "head" else by,
        extremes.compared,
        listed(extremes.largest()),
        listed(opposite),
    )


def nearest_by_direction(
    subject: Subject,
    units: Sequence[Unit],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, SimilarUnits]:
    """Each unit's address, without a side, with the units nearest to it by what they write or move.

    A unit without a direction is left out, and a head of a family whose values cannot be found.

    Args:
        progress: called with how many layers are done, of how many; heads and neurons apart.
    """
    unsided = list(dict.fromkeys(unit.unsided for unit in units))
    directions: dict[Unit, Tensor] = {}
    for unit in unsided:
        if unit.site != "head":
            with suppress(ArgumentError):  # it writes nothing
                directions[unit] = _direction(subject, unit, "write")
    heads = [unit for unit in unsided if unit.site == "head"]
    model = _wired(subject) if heads else None
    kinds = bool(directions) + (model is not None)
    nearest: dict[str, SimilarUnits] = {}
    if model is not None:
        n_layers = subject.shape.n_layers
        moved = _compare_heads(
            model, heads, N_RECORDED, lambda layer: progress(layer + 1, kinds * n_layers)
        )
        for unit, extremes in zip(heads, moved, strict=True):
            # Heads are few: the most alike are listed even if their cosine is negative.
            nearest[str(unit)] = extremes.recorded(
                "move", lambda value: rounded([value])[0], at_least=-1.0
            )
    compared = _compare_with_neurons(
        subject,
        directions,
        "write",
        N_RECORDED,
        lambda layer: progress(
            (kinds - 1) * subject.shape.n_layers + layer + 1, kinds * subject.shape.n_layers
        ),
    )
    for unit, extremes in zip(directions, compared, strict=True):
        nearest[str(unit)] = extremes.recorded("write", lambda value: round(value, 4))
    return nearest


def _wired(subject: Subject) -> CircuitModel | None:
    """The subject with its values' weights, or None where a family's wiring is not described."""
    from ...circuits.circuit_model import CircuitModel

    try:
        return CircuitModel(subject)
    except UsageError:
        return None


def write_cosine(subject: Subject, unit: Unit, other: Unit) -> float:
    """Cosine of what two neurons write."""
    a, b = (subject.write_direction(u.unsided).float() for u in (unit, other))
    return float(a @ b / (a.norm() * b.norm()))


def _direction(subject: Subject, unit: Unit, by: By) -> Float[Tensor, " d_model"]:
    """What a unit writes, or a neuron reads; raises ArgumentError without one."""
    if by == "write":
        direction = subject.write_direction(unit)
    else:
        rows = read_directions(subject, unit.layer)[0]
        direction = rows[unit.index] if unit.index < len(rows) else rows.new_zeros(rows.shape[1])
    if not direction.norm() > 0:
        raise ArgumentError(
            f"nearest: {str(unit)!r} has no {by} direction; ask for its co-activating units instead"
        )
    return direction.float()


def _compare_with_neurons(
    subject: Subject,
    directions: dict[Unit, Tensor],
    by: By,
    k: int,
    progress: Callable[[int], None] = lambda layer: None,
) -> list[Extremes]:
    """For each unit's direction the nearest and the most opposite of all neurons."""
    import torch
    from torch.nn.functional import normalize

    extremes = [Extremes(k) for _ in directions]
    if not directions:
        return extremes
    units = list(directions)
    own = torch.stack([normalize(direction, dim=-1) for direction in directions.values()])
    for layer in range(subject.shape.n_layers):
        reads = by == "read"
        rows = read_directions(subject, layer)[0] if reads else write_directions(subject, layer)
        rows = normalize(rows.float().to(own.device), dim=-1)
        # One unit takes a matrix-vector product, whose last digits do not depend on the batch.
        cosines = ((rows @ own[0])[None] if len(own) == 1 else own @ rows.T).cpu().numpy()
        for unit, kept, row in zip(units, extremes, cosines, strict=True):
            is_own = unit.place == Site("mlp", layer) and unit.index < len(row)
            kept.add(row, partial(Unit, "mlp", layer), [unit.index] if is_own else [])
        progress(layer)
    return extremes


def _add_latents(
    extremes: Extremes, subject: Subject, unit: Unit, direction: Float[Tensor, " d_model"]
) -> None:
    """Add the other latents of the unit's dictionary."""
    from torch.nn.functional import normalize

    from ...subject.latents import latent_writes

    rows = normalize(
        latent_writes(subject.dictionaries[unit.name], subject.parts.layers, subject.architecture),
        dim=-1,
    )
    cosines = (rows @ normalize(direction, dim=-1)).cpu().numpy()
    extremes.add(cosines, lambda index: subject.shape.unit(unit.place, index), [unit.index])


def _add_named_directions(
    extremes: Extremes, subject: Subject, unit: Unit, direction: Float[Tensor, " d_model"]
) -> None:
    import numpy as np
    from torch.nn.functional import normalize

    own = normalize(direction, dim=-1)
    others = [
        (Unit("resid", layer, name=name), vector)
        for layer, named in subject.directions.items()
        for name, vector in named.items()
    ]
    others = [(other, vector) for other, vector in others if other != unit]
    if others:
        cosines = np.array([float(vector @ own) for _, vector in others])
        extremes.add(cosines, lambda index: others[index][0])


def _compare_heads(
    model: CircuitModel,
    units: Sequence[Unit],
    k: int,
    progress: Callable[[int], None] = lambda layer: None,
) -> list[Extremes]:
    """For each head the nearest and the most opposite of all heads, by their OV matrices.

    Args:
        progress: called with each layer that is compared.
    """
    import torch

    subject, graph = model.subject, model.graph
    first_value = graph.n_heads + graph.n_kv_heads  # behind the queries and the keys
    heads_per_value = graph.n_heads // graph.n_kv_heads

    def factors(layer: int) -> tuple[Tensor, Tensor]:
        """W_O (head d_model head_dim) and W_V (head head_dim d_model) of a layer's heads."""
        values = model.qkv_weights(layer)[0][first_value:].float()
        values = values.repeat_interleave(heads_per_value, dim=0)
        return subject.head_matrices(layer).float(), values

    def inner(o: Tensor, v: Tensor, others: Tensor, values: Tensor) -> Tensor:
        """<OV, O'V'> of several heads (rows) with several others (columns)."""
        left = torch.einsum("tdj,hdk->thjk", o, others)  # O^T O'
        return (left * torch.einsum("tjd,hkd->thjk", v, values)).sum((2, 3))

    own = [tuple(factor[unit.index] for factor in factors(unit.layer)) for unit in units]
    batches = [slice(start, start + HEADS_AT_ONCE) for start in range(0, len(units), HEADS_AT_ONCE)]
    stacked = [(*map(torch.stack, zip(*own[batch], strict=True)),) for batch in batches]
    squares = torch.cat([inner(o, v, o, v)[0] for o, v in _each(own)])
    extremes = [Extremes(k) for _ in units]
    for layer in range(subject.shape.n_layers):
        others, values = factors(layer)
        pairs = zip(others, values, strict=True)
        sizes = torch.cat([inner(o, v, o, v)[0] for o, v in _each(pairs)]).sqrt()
        products = torch.cat([inner(o, v, others, values) for o, v in stacked])
        cosines = (products / (squares.sqrt()[:, None] * sizes)).cpu().numpy()
        for unit, kept, row in zip(units, extremes, cosines, strict=True):
            skip = [unit.index] if layer == unit.layer else []
            kept.add(row, partial(Unit, "head", layer), skip)
        progress(layer)
    return extremes


def _each(pairs: Iterable[Sequence[Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each head's two factors as a batch of one."""
    for o, v in pairs:
        yield o[None], v[None]
