"""Addresses of units, and the little language in which a user says which ones to explain.

    mlp.12.803      MLP neuron 803 of layer 12 (what enters the down projection)
    mlp.12.803-     its negative side;  mlp.12.803+  its positive side
    head.5.3        attention head 3 of layer 5 (the norm of what it writes)
    resid.8@NAME    a named direction of the residual stream after layer 8
    resid.8         the whole stream after layer 8 (an intervention can take it, a target cannot be it)

A target term adds ranges and samples: `mlp.10.0-99`, `mlp.3` (the layer), `mlp.*` (all layers),
`mlp.1~50@7` (50 of layer 1 at random, seed 7), `mlp.*~50@7` (50 of all layers in one draw). Any
term may end in a side. This module needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

from ..errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

SiteKind = Literal["mlp", "head", "resid"]
PlaceKind = Literal[SiteKind, "z", "stream", "mlp_in"]
Side = Literal["both", "+", "-"]

_FORMS = "mlp.12.803, mlp.12.803-, mlp.10.0-99, mlp.1~50@7, mlp.*~50@7, head.5.3, resid.8@NAME"
_NAME = r"[^\s,+-](?:[^\s,]*[^\s,+-])?"  # ends in no sign, which would read as a side
_UNIT = re.compile(
    rf"(?:(?P<site>mlp|head)\.(?P<layer>\d+)\.(?P<index>\d+)|resid\.(?P<at>\d+)(?:@(?P<name>{_NAME}))?)(?P<side>[+-]?)"
)
_RANGE = re.compile(
    r"(?P<site>mlp|head)\.(?P<layer>\d+)\.(?P<first>\d+)-(?P<last>\d+)(?P<side>[+-]?)"
)
_SAMPLE = re.compile(
    r"(?P<site>mlp|head|resid)\.(?P<layer>\d+|\*)(?:\.\*)?(?:~(?P<size>\d+)(?:@(?P<seed>\d+))?)?(?P<side>[+-]?)"
)


class Site(NamedTuple):
    """A place in the subject where activations are read: a kind and a layer.

    "mlp", "head" and "resid" have units in their columns. "z" (what enters the attention's output
    projection, all heads side by side), "stream" (the residual stream after the layer) and "mlp_in"
    (what enters the MLP) are raw vectors.
    """

    kind: PlaceKind
    layer: int


@dataclass(frozen=True, order=True)
class Unit:
    """One scalar signal of the subject, or one side of it.

    Attributes:
        index: the neuron's or head's number; 0 for a direction, which its name tells.
        name: the direction's name; "" with site "resid" means the whole stream.
        side: "both" is the activation, "+" its positive part, "-" the positive part of its negation.
    """

    site: SiteKind
    layer: int
    index: int = 0
    name: str = ""
    side: Side = "both"

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read the address of one unit, the inverse of `str`; raises UsageError."""
        match = _UNIT.fullmatch(text.strip())
        if match is None:
            raise _unreadable(text)
        side = cast(Side, match["side"] or "both")
        if match["site"]:
            return cls(
                cast(SiteKind, match["site"]), int(match["layer"]), int(match["index"]), side=side
            )
        return cls("resid", int(match["at"]), name=match["name"] or "", side=side)

    def __str__(self) -> str:
        sign = "" if self.side == "both" else self.side
        if self.site == "resid":
            return f"resid.{self.layer}" + (f"@{self.name}" if self.name else "") + sign
        return f"{self.site}.{self.layer}.{self.index}{sign}"

    @property
    def place(self) -> Site:
        """Where the unit is read."""
        return Site(self.site, self.layer)

    @property
    def unsided(self) -> Unit:
        """The same unit with both its sides."""
        return self if self.side == "both" else replace(self, side="both")

    def signal(self, activation: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """What is explained of a raw activation: all of it, or the part on this side (never negative)."""
        import numpy as np  # here, so that to read an address is quick

        if self.side == "both":
            return activation
        return np.maximum(activation if self.side == "+" else -activation, 0)


@dataclass(frozen=True)
class Shape:
    """How many units of each kind a subject has.

    Attributes:
        n_neurons: MLP neurons of every layer, or a tuple with each layer's number.
        directions: names of the directions by layer, in the order of their columns.
    """

    n_layers: int
    n_neurons: int | tuple[int, ...]
    n_heads: int
    directions: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])

    def count(self, site: Site) -> int:
        """Number of units at a site of kind mlp, head or resid."""
        if site.kind == "head":
            return self.n_heads
        if site.kind == "resid":
            return len(self.directions.get(site.layer, ()))
        return self.n_neurons if isinstance(self.n_neurons, int) else self.n_neurons[site.layer]

    def unit(self, site: Site, column: int) -> Unit:
        """The unit in a column of the site's activations."""
        if site.kind == "resid":
            return Unit("resid", site.layer, name=self.directions[site.layer][column])
        return Unit(cast(SiteKind, site.kind), site.layer, column)

    def check(self, site: Site) -> None:
        """Raise UsageError unless the subject has the layer and, for resid, directions there."""
        if not 0 <= site.layer < self.n_layers:
            raise UsageError(
                f"layer {site.layer} asked for ({site.kind}); the subject has layers 0 to {self.n_layers - 1}"
            )
        if site.kind == "resid" and not self.directions.get(site.layer):
            raise UsageError(
                f"layer {site.layer} has no named directions; give some with --directions"
            )

    def column(self, unit: Unit) -> int:
        """The unit's column in its site's activations; raises UsageError when the subject has no such unit."""
        if unit.layer >= self.n_layers:
            raise UsageError(
                f"{str(unit)!r}: the subject has layers 0 to {self.n_layers - 1}; choose one of them"
            )
        if unit.site == "resid":
            return self._direction(unit)
        count = self.count(unit.place)
        if unit.index >= count:
            raise UsageError(
                f"{str(unit)!r}: layer {unit.layer} has {unit.site} units 0 to {count - 1}; choose one of them"
            )
        return unit.index

    def _direction(self, unit: Unit) -> int:
        names = self.directions.get(unit.layer, ())
        if unit.name not in names:
            known = ", ".join(
                f"resid.{layer}@{name}"
                for layer in sorted(self.directions)
                for name in self.directions[layer]
            )
            raise UsageError(
                f"{str(unit)!r}: no such direction; known: {known or 'none'}. Directions come from a file: --directions"
            )
        return names.index(unit.name)


def parse_targets(spec: str, shape: Shape) -> list[Unit]:
    """Read comma-separated target terms, or the name of a file of them (`#` starts a comment).

    Duplicates are dropped and the order is kept. A sample is
    `sorted(np.random.default_rng(seed).choice(n, size, replace=False))`; over `*` it is one draw
    from all layers.

    Raises:
        UsageError: naming the term that cannot be read, is out of range, or asks for more units than there are.
    """
    units: dict[Unit, None] = {}
    for term in _terms(spec):
        units.update(dict.fromkeys(_expand(term, shape)))
    if not units:
        raise UsageError(f"no targets in {spec!r}; give terms such as {_FORMS}")
    return list(units)


def _terms(spec: str) -> Iterator[str]:
    for term in filter(None, (part.strip() for part in spec.split(","))):
        if (
            any(form.fullmatch(term) for form in (_UNIT, _RANGE, _SAMPLE))
            or not Path(term).is_file()
        ):
            yield term
        else:
            yield from _terms_of_file(Path(term))


def _terms_of_file(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, PermissionError) as error:
        raise UsageError(
            f"{str(path)!r} is no readable file of targets ({error}); it should hold terms such as {_FORMS}"
        ) from error
    for line in lines:
        yield from filter(None, (part.strip() for part in line.partition("#")[0].split(",")))


def _expand(term: str, shape: Shape) -> list[Unit]:
    if match := _RANGE.fullmatch(term):
        return _range(match, shape)
    if match := _SAMPLE.fullmatch(term):
        return _sample(match, shape)
    unit = Unit.parse(term)
    shape.column(unit)
    return [unit]


def _range(match: re.Match[str], shape: Shape) -> list[Unit]:
    kind, layer, side = (
        cast(SiteKind, match["site"]),
        int(match["layer"]),
        cast(Side, match["side"] or "both"),
    )
    first, last = int(match["first"]), int(match["last"])
    if first > last:
        raise UsageError(
            f"{match[0]!r}: the range runs backwards; write {kind}.{layer}.{last}-{first}"
        )
    shape.column(Unit(kind, layer, last))
    return [Unit(kind, layer, index, side=side) for index in range(first, last + 1)]


def _sample(match: re.Match[str], shape: Shape) -> list[Unit]:
    import numpy as np

    sites = _sites(match, shape)
    counts = [shape.count(site) for site in sites]
    n = sum(counts)
    size = n if match["size"] is None else int(match["size"])
    if not 0 < size <= n:
        raise UsageError(
            f"{match[0]!r} asks for {size} of {n} units; ask for 1 to {n}"
            if n
            else f"{match[0]!r}: no units there"
        )
    drawn = (
        range(n)
        if size == n
        else sorted(np.random.default_rng(int(match["seed"] or 0)).choice(n, size, replace=False))
    )
    side = cast(Side, match["side"] or "both")
    starts = np.cumsum([0, *counts])
    places = ((int(np.searchsorted(starts, flat, side="right")) - 1, int(flat)) for flat in drawn)
    return [
        replace(shape.unit(sites[at], flat - int(starts[at])), side=side) for at, flat in places
    ]


def _sites(match: re.Match[str], shape: Shape) -> list[Site]:
    kind = cast(SiteKind, match["site"])
    if match["layer"] == "*":
        return [Site(kind, layer) for layer in range(shape.n_layers)]
    layer = int(match["layer"])
    if layer >= shape.n_layers:
        raise UsageError(
            f"{match[0]!r}: the subject has layers 0 to {shape.n_layers - 1}; choose one of them"
        )
    return [Site(kind, layer)]


def _unreadable(text: str) -> UsageError:
    if text.strip().startswith("sae."):
        return UsageError(
            f"{text!r}: sparse-autoencoder latents are not yet supported; use {', '.join(get_args(SiteKind))} units"
        )
    return UsageError(f"{text!r} is no unit, range, sample or file of targets; valid are {_FORMS}")
