"""Interventions: data that say how a unit's value is changed during a forward pass, and how they
are carried out.

    zero        the value becomes 0
    mean        ... `value`, or the unit's mean over the source text (position 0 left out)
    resample    ... its values at positions of the source text drawn at random (seeded, never position 0)
    patch       ... its values at `source_positions` of the source text (default: the same positions)
    interchange ... the same, but only the part of it that lies in the span of some named `directions` of its layer
    set         ... `value` (clamp)
    add         `value` is added (steer)
    scale       it is multiplied by `value`

1. What needs a source text is resolved first: one pass of the unedited subject for all sources of
   the same length.
2. Each intervention becomes an edit of one row at its place: a column of what enters the down
   projection, a head's columns of z, the whole stream after a layer, or the stream's component
   along a named direction.
3. Edits of a place are carried out in the order given; `capture` puts the hooks and takes them away
   again.

A unit with a side is changed only where its activation is on that side: `zero` of `mlp.3.7-` makes
a = max(a, 0).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .address import Site, Unit

if TYPE_CHECKING:
    from .capture import Edit
    from .subject import Subject

Operation = Literal["zero", "mean", "resample", "patch", "interchange", "set", "add", "scale"]


@dataclass(frozen=True)
class Intervention:
    """One change of one unit in one row of a batch; hashable, and plain JSON.

    Attributes:
        unit: a neuron, a head (its z), a named direction, or `resid.8`, the whole stream after layer 8.
        positions: token positions to change; None means all.
        value: a number, or for heads and the whole stream a vector (head_dim or d_model numbers).
        source: token ids of the text that mean, resample, patch and interchange take values from.
        source_positions: patch and interchange only, one for each of `positions`.
        directions: interchange only: names of the layer's directions; they need not be orthogonal.
        seed: resample only.
    """

    unit: Unit
    op: Operation
    positions: tuple[int, ...] | None = None
    value: float | tuple[float, ...] | None = None
    source: tuple[int, ...] | None = None
    source_positions: tuple[int, ...] | None = None
    seed: int = 0
    directions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise UsageError(f"intervention {self.op!r} on {str(self.unit)!r}: {fault}")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {**asdict(self), "unit": str(self.unit)}

    def digest(self) -> str:
        """16 hexadecimal digits that name this intervention: the same for the same content, on every machine."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Intervention:
        """The inverse of `to_json`; raises UsageError when a field is missing, unknown or off."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        try:
            return cls(**{**plain, "unit": Unit.parse(plain["unit"])})
        except (KeyError, TypeError, AttributeError) as error:
            fields = ", ".join(cls.__dataclass_fields__)
            raise UsageError(
                f"{dict(data)!r} is no intervention ({error}); its fields are {fields}"
            ) from error


def _fault(given: Intervention) -> str | None:
    if given.op not in get_args(Operation):
        return f"no such operation; choose {', '.join(get_args(Operation))}"
    if given.op in ("set", "add", "scale") and given.value is None:
        return "needs a value"
    if (given.op == "interchange") != bool(given.directions):
        return "interchange, and nothing else, takes directions: names of directions of the unit's layer"
    if given.op == "interchange" and (given.unit.site != "resid" or given.unit.name):
        return "interchange works on a whole stream, such as resid.8"
    if given.op in ("resample", "patch", "interchange") and not given.source:
        return "needs a source, the token ids of the text to take values from"
    if given.op == "mean" and given.value is None and not given.source:
        return "needs a value or a source"
    if given.source_positions is not None and len(given.source_positions) != len(
        given.positions or ()
    ):
        return "source_positions must pair with positions, one for one"
    if any(
        position < 0 for position in (*(given.positions or ()), *(given.source_positions or ()))
    ):
        return "positions count from 0 and cannot be negative"
    if given.unit.side != "both" and _is_vector(given.unit):
        return "has no sides; leave out the sign"
    return None


def _is_vector(unit: Unit) -> bool:
    return unit.site == "head" or (unit.site == "resid" and not unit.name)


def compile_edits(
    subject: Subject, interventions: Sequence[Sequence[Intervention]], batch: int, seq: int
) -> dict[Site, list[Edit]]:
    """Edits by place for a batch, one list of interventions a row; raises UsageError when they do not fit it."""
    if len(interventions) != batch:
        raise UsageError(
            f"{len(interventions)} lists of interventions given for {batch} rows; give one a row"
        )
    flat = [(row, intervention) for row, some in enumerate(interventions) for intervention in some]
    for _, intervention in flat:
        _check_fit(subject, intervention, seq)
    sources = _source_values(
        subject, [intervention for _, intervention in flat if intervention.source]
    )
    edits: dict[Site, list[Edit]] = defaultdict(list)
    for row, intervention in flat:
        edits[_place(intervention.unit)].append(
            _edit(subject, row, intervention, sources.get(intervention), seq)
        )
    return dict(edits)


def _check_fit(subject: Subject, given: Intervention, seq: int) -> None:
    width = None
    if given.unit.site == "resid" and not given.unit.name:
        width = subject.d_model
        if given.unit.layer >= subject.shape.n_layers:
            raise UsageError(
                f"{str(given.unit)!r}: the subject has layers 0 to {subject.shape.n_layers - 1}"
            )
    else:
        subject.shape.column(given.unit)
        width = subject.head_dim if given.unit.site == "head" else None
    for name in given.directions:
        subject.shape.column(Unit("resid", given.unit.layer, name=name))
    if isinstance(given.value, tuple) and len(given.value) != width:
        raise UsageError(
            f"{str(given.unit)!r}: value has {len(given.value)} numbers; expected {width or 'one number'}"
        )
    if given.positions and max(given.positions) >= seq:
        raise UsageError(
            f"{str(given.unit)!r}: position {max(given.positions)} given; the text has 0 to {seq - 1}"
        )
    used = (
        (given.source_positions or given.positions or (seq - 1,))
        if given.op in ("patch", "interchange")
        else (0,)
    )
    if given.source and max(used) >= len(given.source):
        raise UsageError(
            f"{str(given.unit)!r}: {given.op} needs position {max(used)} of a source of {len(given.source)} tokens; "
            f"give positions and source_positions that exist"
        )


def _place(unit: Unit) -> Site:
    return Site({"mlp": "mlp", "head": "z", "resid": "stream"}[unit.site], unit.layer)  # pyright: ignore[reportArgumentType]


def _source_values(
    subject: Subject, interventions: Sequence[Intervention]
) -> dict[Intervention, Float[Tensor, "position width"]]:
    """The unit's values over each intervention's whole source text."""
    by_length: dict[int, list[Intervention]] = defaultdict(list)
    for intervention in dict.fromkeys(interventions):
        by_length[len(intervention.source or ())].append(intervention)
    values: dict[Intervention, Tensor] = {}
    for group in by_length.values():
        texts = list(dict.fromkeys(intervention.source or () for intervention in group))
        captured = subject.capture(
            torch.tensor(texts), [_place(intervention.unit) for intervention in group]
        )
        for intervention in group:
            raw = captured.activations[_place(intervention.unit)][
                texts.index(intervention.source or ())
            ]
            values[intervention] = _component(subject, intervention.unit, raw)
    return values


def _component(
    subject: Subject, unit: Unit, raw: Float[Tensor, "position width"]
) -> Float[Tensor, "position component"]:
    if unit.site == "resid":
        return raw @ _direction(subject, unit, raw)[:, None] if unit.name else raw
    return raw[:, _columns(subject, unit)]


def _columns(subject: Subject, unit: Unit) -> slice:
    if unit.site == "mlp":
        return slice(unit.index, unit.index + 1)
    return slice(unit.index * subject.head_dim, (unit.index + 1) * subject.head_dim)


def _direction(subject: Subject, unit: Unit, like: Tensor) -> Float[Tensor, " d_model"]:
    return subject.directions[unit.layer][unit.name].to(like.dtype)


def _edit(subject: Subject, row: int, given: Intervention, source: Tensor | None, seq: int) -> Edit:
    positions = list(range(seq) if given.positions is None else given.positions)
    at = slice(None) if given.positions is None else positions

    basis = _span(subject, given) if given.directions else None

    def edit(value: Float[Tensor, "batch seq width"]) -> None:
        raw = value[row, at]
        old = _component(subject, given.unit, raw)
        new = _on_side(given.unit, old, _changed(given, old, source, positions))
        if basis is not None:
            new = old + (new - old) @ basis.to(old.dtype) @ basis.to(old.dtype).T
        if given.unit.site == "resid" and given.unit.name:
            value[row, at] = raw + (new - old) * _direction(subject, given.unit, raw)
        elif given.unit.site == "resid":
            value[row, at] = new
        else:
            value[row, at, _columns(subject, given.unit)] = new

    return edit


def _span(subject: Subject, given: Intervention) -> Float[Tensor, "d_model k"]:
    """An orthonormal basis of the directions' span, as columns."""
    named = subject.directions[given.unit.layer]
    return torch.linalg.qr(torch.stack([named[name] for name in given.directions], dim=1)).Q


def _on_side(unit: Unit, old: Tensor, new: Tensor) -> Tensor:
    if unit.side == "both":
        return new
    return torch.where(old > 0 if unit.side == "+" else old < 0, new, old)


def _changed(
    given: Intervention,
    old: Float[Tensor, "position component"],
    source: Tensor | None,
    positions: list[int],
) -> Float[Tensor, "position component"]:
    if given.op == "zero":
        return torch.zeros_like(old)
    if given.value is not None:
        value = torch.as_tensor(given.value, dtype=old.dtype, device=old.device)
        return {"add": old + value, "scale": old * value}.get(given.op, value.expand_as(old))
    assert source is not None  # _fault saw to it
    if given.op == "mean":
        return source[min(1, len(source) - 1) :].mean(dim=0).expand_as(old)
    return source[_source_positions(given, positions, len(source))]


def _source_positions(given: Intervention, positions: list[int], length: int) -> list[int]:
    if given.op in ("patch", "interchange"):
        return list(given.source_positions or positions)
    drawn = np.random.default_rng(given.seed).integers(min(1, length - 1), length, len(positions))
    return drawn.tolist()
