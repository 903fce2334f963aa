"""Interventions: how a unit's value is changed during a forward pass, as plain data, and the edits
that carry them out.

    zero        the value becomes 0
    mean        ... `value`, or the unit's mean over the source text (without position 0)
    resample    ... its values at random positions of the source text (seeded, never position 0)
    patch       ... its values at `source_positions` of the source text (default: the same positions)
    interchange ... the same, but only the part in the span of some named `directions` of its layer
    set         ... `value` (clamp)
    add         `value` is added (steer)
    scale       it is multiplied by `value`

1. Values from source texts are captured first: one pass of the unedited subject for all sources of
   the same length.
2. Each intervention becomes an edit of one row at its site: a column of the down projection's
   input, a head's columns of z, the whole stream after a layer, or the stream's component along a
   named direction. A latent's value is computed where its dictionary reads; where the dictionary
   writes, the change of the value times the latent's decoder row is added. So what the dictionary
   does not reconstruct stays as it is.
3. The edits of a site are applied in the order given; `capture` adds and removes the hooks.

A unit with a side is changed only where its activation is on that side: `zero` of `mlp.3.7-` makes
a = max(a, 0).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UsageError
from .address import Shape, Site, Unit
from .capture import Capture, Edit
from .latents import Latents

Operation = Literal["zero", "mean", "resample", "patch", "interchange", "set", "add", "scale"]
OPERATIONS: tuple[str, ...] = get_args(Operation)
FROM_SOURCE = ("resample", "patch", "interchange")
MAX_VALUE = 1e15
"""Of a value's size. Norms square the stream in float32, which overflows from 1.8e19 on and makes the
whole stream zero: the logits are then finite and wrong. Weights may multiply a value by 10,000."""


@dataclass(frozen=True)
class Intervention:
    """One change of one unit in one row of a batch; hashable, and plain JSON.

    Attributes:
        unit: a neuron, a head (its z), a named direction, a latent, or `resid.8`, the stream after
            layer 8.
        positions: token positions to change; None means all.
        value: a number, or for heads and the whole stream a vector (head_dim or d_model numbers).
        source: token ids of the text that mean, resample, patch and interchange take values from.
        source_positions: for patch and interchange only, one for each of `positions`.
        directions: for interchange only: names of the layer's directions, not necessarily
            orthogonal.
        seed: for resample only.
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
        """A hash of the content, 16 hexadecimal digits, the same on every machine."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Intervention:
        """The inverse of `to_json`; raises UsageError for a missing, unknown or invalid field."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        try:
            return cls(**{**plain, "unit": Unit.parse(plain["unit"])})
        except (KeyError, TypeError, AttributeError) as error:
            fields = ", ".join(cls.__dataclass_fields__)
            raise UsageError(
                f"{dict(data)!r} is not an intervention ({error}); its fields are {fields}"
            ) from error


def _fault(change: Intervention) -> str | None:
    positions, source_positions = change.positions or (), change.source_positions or ()
    if change.op not in OPERATIONS:
        return f"no such operation; choose {', '.join(OPERATIONS)}"
    if change.op in ("set", "add", "scale") and change.value is None:
        return "needs a value"
    values = change.value if isinstance(change.value, tuple) else (change.value or 0,)
    if too_large := [value for value in values if not abs(value) <= MAX_VALUE]:
        return f"the value {too_large[0]:g} is too large; give {MAX_VALUE:g} at most"
    if (change.op == "interchange") != bool(change.directions):
        return "interchange, and nothing else, takes directions: names of directions of the layer"
    if change.op == "interchange" and (change.unit.site != "resid" or change.unit.name):
        return "interchange works on a whole stream, such as resid.8"
    if change.op in FROM_SOURCE and not change.source:
        return "needs a source, the token ids of the text to take values from"
    if change.op == "mean" and change.value is None and not change.source:
        return "needs a value or a source"
    if change.source_positions is not None and len(source_positions) != len(positions):
        return "source_positions must pair with positions, one for one"
    if any(position < 0 for position in (*positions, *source_positions)):
        return "positions count from 0 and cannot be negative"
    has_vector = change.unit.site == "head" or (
        change.unit.site == "resid" and not change.unit.name
    )
    if change.unit.side != "both" and has_vector:
        return "has no sides; leave out the sign"
    return None


class SubjectAccess(Protocol):
    """The part of a subject that interventions use."""

    @property
    def shape(self) -> Shape: ...
    @property
    def d_model(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def directions(self) -> Mapping[int, Mapping[str, Float[Tensor, " d_model"]]]: ...
    @property
    def dictionaries(self) -> Mapping[str, Latents]: ...
    def capture(self, ids: Int[Tensor, "batch seq"], sites: Sequence[Site], /) -> Capture: ...


def compile_edits(
    subject: SubjectAccess, interventions: Sequence[Sequence[Intervention]], batch: int, seq: int
) -> dict[Site, list[Edit]]:
    """Edits by site for a batch, with one list of interventions per row.

    Raises:
        UsageError: the interventions do not fit the batch or the subject.
    """
    if len(interventions) != batch:
        raise UsageError(
            f"{len(interventions)} lists of interventions given for {batch} rows; give one per row"
        )
    flat = [(row, change) for row, changes in enumerate(interventions) for change in changes]
    for _, intervention in flat:
        _check_fit(subject, intervention, seq)
    sources = _source_values(subject, [change for _, change in flat if change.source])
    edits: dict[Site, list[Edit]] = defaultdict(list)
    for row, intervention in flat:
        source, site = sources.get(intervention), subject.shape.raw(intervention.unit.place)
        if intervention.unit.site == "sae":
            for place, edit in _latent_edits(subject, row, intervention, source, seq):
                edits[place].append(edit)
        else:
            edits[site].append(_edit(subject, row, intervention, source, seq))
    return dict(edits)


def _check_fit(subject: SubjectAccess, change: Intervention, seq: int) -> None:
    unit, address = change.unit, repr(str(change.unit))
    width = None
    if unit.site == "resid" and not unit.name:
        width = subject.d_model
        subject.shape.check_layer(unit.layer, str(unit))
    else:
        subject.shape.column(unit)
        width = subject.head_dim if unit.site == "head" else None
    for name in change.directions:
        subject.shape.column(Unit("resid", unit.layer, name=name))
    if isinstance(change.value, tuple) and len(change.value) != width:
        raise UsageError(
            f"{address}: value has {len(change.value)} numbers; expected {width or 'one number'}"
        )
    if change.positions and max(change.positions) >= seq:
        raise UsageError(
            f"{address}: position {max(change.positions)} given; the text has 0 to {seq - 1}"
        )
    last = 0
    if change.op in ("patch", "interchange"):
        last = max(change.source_positions or change.positions or (seq - 1,))
    if change.source and last >= len(change.source):
        raise UsageError(
            f"{address}: {change.op} needs position {last} of a source of {len(change.source)} "
            "tokens; give positions and source_positions that exist"
        )


def _source_values(
    subject: SubjectAccess, interventions: Sequence[Intervention]
) -> dict[Intervention, Float[Tensor, "position component"]]:
    """The unit's values over each intervention's whole source text."""
    by_length: dict[int, list[Intervention]] = defaultdict(list)
    for intervention in dict.fromkeys(interventions):
        by_length[len(intervention.source or ())].append(intervention)
    values: dict[Intervention, Tensor] = {}
    for group in by_length.values():
        texts = list(dict.fromkeys(intervention.source or () for intervention in group))
        sites = [subject.shape.raw(intervention.unit.place) for intervention in group]
        captured = subject.capture(torch.tensor(texts), sites).activations
        for intervention, site in zip(group, sites, strict=True):
            raw = captured[site][texts.index(intervention.source or ())]
            values[intervention] = _component(subject, intervention.unit, raw)
    return values


def _component(
    subject: SubjectAccess, unit: Unit, raw: Float[Tensor, "position width"]
) -> Float[Tensor, "position component"]:
    """The unit's own part of the raw values of its site."""
    if unit.site == "resid":
        return raw @ _direction(subject, unit, raw)[:, None] if unit.name else raw
    if unit.site == "sae":
        return subject.dictionaries[unit.name].encode(raw, [unit.index]).to(raw.dtype)
    return raw[:, _columns(subject, unit)]


def _columns(subject: SubjectAccess, unit: Unit) -> slice:
    width = subject.head_dim if unit.site == "head" else 1
    return slice(unit.index * width, (unit.index + 1) * width)


def _direction(subject: SubjectAccess, unit: Unit, like: Tensor) -> Float[Tensor, " d_model"]:
    return subject.directions[unit.layer][unit.name].to(like)


def _edit(
    subject: SubjectAccess,
    row: int,
    change: Intervention,
    source: Float[Tensor, "position component"] | None,
    seq: int,
) -> Edit:
    unit = change.unit
    positions = list(range(seq) if change.positions is None else change.positions)
    index = slice(None) if change.positions is None else positions
    basis = None  # (d_model k), orthonormal columns that span the named directions
    if change.directions:
        vectors = [subject.directions[unit.layer][name] for name in change.directions]
        basis = torch.linalg.qr(torch.stack(vectors, dim=1)).Q

    def edit(value: Float[Tensor, "batch seq width"]) -> None:
        raw = value[row, index]
        old = _component(subject, unit, raw)
        new = _on_side(unit, _new_value(change, old, source, positions), old)
        if basis is not None:
            new = old + (new - old) @ basis.to(old) @ basis.to(old).T

        if unit.site == "resid" and unit.name:
            value[row, index] = raw + (new - old) * _direction(subject, unit, raw)
        elif unit.site == "resid":
            value[row, index] = new
        else:
            value[row, index, _columns(subject, unit)] = new

    return edit


def _latent_edits(
    subject: SubjectAccess,
    row: int,
    change: Intervention,
    source: Float[Tensor, "position 1"] | None,
    seq: int,
) -> list[tuple[Site, Edit]]:
    """Edits where a latent's dictionary reads and where it writes; one edit if the two are the same."""
    unit = change.unit
    dictionary, shape = subject.dictionaries[unit.name], subject.shape.dictionaries[unit.name]
    positions = list(range(seq) if change.positions is None else change.positions)
    index = slice(None) if change.positions is None else positions
    added: list[Tensor] = []

    def read(value: Float[Tensor, "batch seq width"]) -> None:
        raw = value[row, index]
        old = _component(subject, unit, raw)
        difference = _on_side(unit, _new_value(change, old, source, positions), old) - old
        # an autoencoder's reconstruction is scaled back, a transcoder's is not
        scale = dictionary.normalised(raw)[1] if shape.reads == shape.writes else None
        factor = 1.0 if scale is None else scale.factor
        added[:] = [difference * factor * dictionary.decoder[unit.index].to(raw)]

    def write(value: Float[Tensor, "batch seq width"]) -> None:
        value[row, index] += added[0].to(value)

    def read_and_write(value: Float[Tensor, "batch seq width"]) -> None:
        read(value)
        write(value)

    if shape.reads == shape.writes:
        return [(shape.reads, read_and_write)]
    return [(shape.reads, read), (shape.writes, write)]


def _on_side(
    unit: Unit, new: Float[Tensor, "position component"], old: Float[Tensor, "position component"]
) -> Float[Tensor, "position component"]:
    """The new value where the old one is on the unit's side, and the old one elsewhere."""
    if unit.side == "both":
        return new
    return torch.where(old > 0 if unit.side == "+" else old < 0, new, old)


def _new_value(
    change: Intervention,
    old: Float[Tensor, "position component"],
    source: Float[Tensor, "source_position component"] | None,
    positions: list[int],
) -> Float[Tensor, "position component"]:
    if change.op == "zero":
        return torch.zeros_like(old)
    if change.value is not None:
        value = torch.as_tensor(change.value, dtype=old.dtype, device=old.device)
        return {"add": old + value, "scale": old * value}.get(change.op, value.expand_as(old))
    assert source is not None  # `_fault` makes sure of it
    first = min(1, len(source) - 1)  # position 0 is left out, unless it is the only one
    if change.op == "mean":
        return source[first:].mean(dim=0).expand_as(old)
    if change.op in ("patch", "interchange"):
        return source[list(change.source_positions or positions)]
    rng = np.random.default_rng(change.seed)
    return source[rng.integers(first, len(source), len(positions)).tolist()]
