"""Units near a unit by direction: what they write, what they read, or what a head moves.

1. Neurons, by what they write: cosine of the columns of the down projections. By what they read:
   cosine of the rows of the projection whose output goes through the nonlinearity (the gate of a
   gated MLP).
2. Heads: cosine, in Frobenius' sense, of what moves a token's value to the stream, OV = W_O^h
   W_V^kv. Under grouped queries several heads share a W_V. With O^T O' and V V'^T of head_dim
   squared no OV is ever written out: <OV, O'V'> = sum of (O^T O') * (V V'^T).
3. A named direction is compared with what neurons write and with the other named directions.

All layers are compared, since all write to the same stream; a cosine of 0.3 is far beyond chance in
576 dimensions (standard deviation 0.04).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..errors import ArgumentError
from .registry import InstrumentContext, Result, UnitAddress, instrument, rounded
from .relative_depth import SAID, Depth, depth_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..subject import Subject, Unit

By = Literal["write", "read"]


@dataclass(frozen=True)
class NearestUnit:
    """A unit and how alike its direction is; `depth` is where it stands as seen from the unit asked for."""

    unit: str
    cosine: float
    depth: Depth


@dataclass(frozen=True)
class Nearest(Result):
    """Units with the most similar, and the most opposite, directions.

    Attributes:
        compared: how many units there were.
    """

    unit: str
    by: str
    compared: int
    alike: list[NearestUnit]
    opposite: list[NearestUnit]

    def render(self) -> str:
        lines = [
            f"of {self.compared:,} units, nearest to {self.unit} by what they {self.by} (cosine):"
        ]
        lines += [
            f"  {n.cosine:+.3f} {n.unit}, {SAID[n.depth]}" for n in (*self.alike, *self.opposite)
        ]
        return "\n".join(lines)


@instrument("nearest", needs=("subject",))
def nearest(
    context: InstrumentContext,
    unit: UnitAddress,
    by: By = "write",
    k: Annotated[
        int, Field(ge=1, le=50, description="most alike to list; a third as many opposite ones")
    ] = 6,
) -> Nearest:
    """Which units write (or read) nearly the same direction as a unit, or the opposite.

    Near neighbours often share a meaning, or split one: look at their exemplars to see what the
    unit does not do. Heads are compared by what they move (their OV matrix).
    """
    from ..subject import Unit

    address, subject = Unit.parse(unit).unsided, context.require_subject()
    subject.shape.column(address)
    if address.site == "head" and by == "read":
        raise ArgumentError(
            "nearest: a head reads three ways (query, key, value); leave `by` out to compare its OV"
        )
    if address.site == "resid" and by == "read":
        raise ArgumentError("nearest: a named direction is only written; leave `by` out")
    pairs = _heads(subject, address) if address.site == "head" else _neurons(subject, address, by)
    listed = sorted(
        ((other, cosine) for other, cosine in pairs if other != address), key=lambda pair: -pair[1]
    )
    last = [pair for pair in listed[::-1][: max(1, k // 3)] if pair[1] < 0]
    alike, opposite = ([_neighbour(address, *pair) for pair in some] for some in (listed[:k], last))
    return Nearest(
        str(address), "move" if address.site == "head" else by, len(listed), alike, opposite
    )


def _neighbour(unit: Unit, other: Unit, cosine: float) -> NearestUnit:
    return NearestUnit(str(other), rounded([cosine])[0], depth_of(other, unit))


def _neurons(subject: Subject, unit: Unit, by: By) -> Iterator[tuple[Unit, float]]:
    """Each neuron (and, for a named direction, each other direction) with its cosine."""
    from ..subject import Site, Unit

    mine = _unit_norm(_direction(subject, unit, by).float())
    for layer in range(subject.shape.n_layers):
        rows = writes(subject, layer) if by == "write" else reads(subject, layer)[0]
        cosines = _unit_norm(rows.float()) @ mine
        yield from (
            (Unit("mlp", layer, index), cosine) for index, cosine in enumerate(cosines.tolist())
        )
    for layer, named in subject.directions.items() if unit.site == "resid" else ():
        for column, vector in enumerate(named.values()):
            yield subject.shape.unit(Site("resid", layer), column), float(vector @ mine)


def _direction(subject: Subject, unit: Unit, by: By) -> Float[Tensor, " d_model"]:
    if by == "write":
        direction = subject.write_direction(unit)
    else:
        rows = reads(subject, unit.layer)[0]
        direction = rows[unit.index] if unit.index < len(rows) else rows.new_zeros(rows.shape[1])
    if not direction.norm() > 0:
        raise ArgumentError(
            f"nearest: {str(unit)!r} has no {by} direction; ask for its co-activating units instead"
        )
    return direction


def _heads(subject: Subject, unit: Unit) -> Iterator[tuple[Unit, float]]:
    import torch

    from ..circuits.selftest import open_circuit_model
    from ..subject import Unit

    model = open_circuit_model(subject)
    first = model.graph.n_heads + model.graph.n_kv_heads
    share = model.graph.n_heads // model.graph.n_kv_heads

    def factors(layer: int) -> tuple[Tensor, Tensor]:
        kv = model.qkv_weights(layer)[0][first:].float()  # kv_head head_dim d_model
        return subject.head_matrices(layer).float(), kv.repeat_interleave(share, dim=0)

    def inner(o: Tensor, v: Tensor, others: Tensor, values: Tensor) -> Tensor:
        left = torch.einsum("dj,hdk->hjk", o, others)  # O^T O'
        return (left * torch.einsum("jd,hkd->hjk", v, values)).sum((1, 2))

    o, v = (found[unit.index] for found in factors(unit.layer))
    mine = inner(o, v, o[None], v[None]).sqrt()
    for layer in range(subject.shape.n_layers):
        others, values = factors(layer)
        own = torch.stack(
            [inner(a, b, a[None], b[None])[0] for a, b in zip(others, values, strict=True)]
        ).sqrt()
        cosines = inner(o, v, others, values) / (mine * own)
        yield from (
            (Unit("head", layer, index), cosine) for index, cosine in enumerate(cosines.tolist())
        )


def writes(subject: Subject, layer: int) -> Float[Tensor, "neuron d_model"]:
    """What each neuron of a layer adds to the stream at an activation of one (behind a post-norm: up to a factor)."""
    from ..subject.architectures import matrix, norm_scale

    part, family = subject.parts.layers[layer], subject.architecture
    columns = matrix(part.mlp_down).T
    return (
        columns * norm_scale(part.mlp_write, family.norm)
        if family.mlp_write != family.mlp
        else columns
    )


def reads(subject: Subject, layer: int) -> tuple[Float[Tensor, "neuron d_model"], ...]:
    """What each neuron of a layer reads from the normed stream: (gate, up), or one matrix where nothing gates."""
    from ..subject.architectures import matrix

    rows = tuple(matrix(module) for module in subject.parts.layers[layer].mlp_rows)
    return rows[0].chunk(2) if subject.architecture.fused else rows


def _unit_norm(vectors: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows d_model"]:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)
