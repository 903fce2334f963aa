"""Addresses of units, and the small language in which a user says which ones to explain.

    mlp.12.803      MLP neuron 803 of layer 12 (an input of the down projection)
    mlp.12.803-     its negative side;  mlp.12.803+  its positive side
    head.5.3        attention head 3 of layer 5 (the norm of what it writes)
    resid.8@NAME    a named direction of the residual stream after layer 8
    resid.8         the whole stream after layer 8 (for interventions only; it cannot be a target)

Target terms add ranges and samples: `mlp.10.0-99`, `mlp.3` (the layer), `mlp.*` (all layers),
`mlp.1~50@7` (50 random units of layer 1, seed 7), `mlp.*~50@7` (50 of all layers in one draw). Any
term may end in a side. This module needs no torch.
"""

from __future__ import annotations

import os
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
PlaceKind = Literal[SiteKind, "z", "stream", "mid", "mlp_in"]
Side = Literal["both", "+", "-"]

_FORMS = "mlp.12.803, mlp.12.803-, mlp.10.0-99, mlp.1~50@7, mlp.*~50@7, head.5.3, resid.8@NAME"
_NAME = r"[^\s,+-](?:[^\s,]*[^\s,+-])?"  # cannot end in a sign, which would read as a side
_UNIT = re.compile(
    rf"(?:(?P<site>mlp|head)\.(?P<layer>\d+)\.(?P<index>\d+)"
    rf"|resid\.(?P<at>\d+)(?:@(?P<name>{_NAME}))?)(?P<side>[+-]?)"
)
_RANGE = re.compile(
    r"(?P<site>mlp|head)\.(?P<layer>\d+)\.(?P<first>\d+)-(?P<last>\d+)(?P<side>[+-]?)"
)
_SAMPLE = re.compile(
    r"(?P<site>mlp|head|resid)\.(?P<layer>\d+|\*)(?:\.\*)?"
    r"(?:~(?P<size>\d+)(?:@(?P<seed>\d+))?)?(?P<side>[+-]?)"
)


class Site(NamedTuple):
    """A point of the forward pass where activations are read: a kind and a layer.

    "mlp", "head" and "resid" have one unit per column. "z" (the input of the attention's output
    projection, all heads side by side), "stream" (the residual stream after the layer), "mid" (the
    residual stream that the MLP's norm reads) and "mlp_in" (that norm's output, the input of the
    MLP) are raw vectors.
    """

    kind: PlaceKind
    layer: int

    @property
    def raw(self) -> Site:
        """The site of the raw vectors that this site's units are computed from."""
        raw_kinds: dict[str, PlaceKind] = {"head": "z", "resid": "stream"}
        return Site(raw_kinds.get(self.kind, self.kind), self.layer)


@dataclass(frozen=True, order=True)
class Unit:
    """One scalar signal of the subject, or one side of it.

    Attributes:
        index: the neuron's or head's number; 0 for a direction, which has a name instead.
        name: the direction's name; "" with site "resid" means the whole stream.
        side: "both" is the activation, "+" its positive part, "-" the positive part of its
            negation.
    """

    site: SiteKind
    layer: int
    index: int = 0
    name: str = ""
    side: Side = "both"

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Parse the address of one unit, the inverse of `str`; raises UsageError."""
        match = _UNIT.fullmatch(text.strip())
        if match is None:
            raise _unreadable(text)
        side = _side(match)
        if match["site"]:
            kind = cast(SiteKind, match["site"])
            return cls(kind, int(match["layer"]), int(match["index"]), side=side)
        return cls("resid", int(match["at"]), name=match["name"] or "", side=side)

    def __str__(self) -> str:
        sign = "" if self.side == "both" else self.side
        if self.site == "resid":
            return f"resid.{self.layer}" + (f"@{self.name}" if self.name else "") + sign
        return f"{self.site}.{self.layer}.{self.index}{sign}"

    @property
    def place(self) -> Site:
        """The site that the unit is a column of."""
        return Site(self.site, self.layer)

    @property
    def stated_side(self) -> Side:
        """The side that a sentence speaks of; the norm of a head's output is never negative."""
        return "+" if self.site == "head" else self.side

    @property
    def unsided(self) -> Unit:
        """The same unit with both its sides."""
        return self if self.side == "both" else replace(self, side="both")

    def signal(self, activation: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """The signal to explain: the raw activation, or its part on this side (never negative)."""
        import numpy as np  # imported here to keep address parsing fast

        if self.side == "both":
            return activation
        return np.maximum(activation if self.side == "+" else -activation, 0)


@dataclass(frozen=True)
class Shape:
    """How many units of each kind a subject has.

    Attributes:
        n_neurons: MLP neurons per layer, or a tuple with each layer's number.
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
            raise UsageError(f"layer {site.layer} given ({site.kind}); {self._layers()}")
        if site.kind == "resid" and not self.directions.get(site.layer):
            raise UsageError(
                f"layer {site.layer} has no named directions; give some with --directions"
            )

    def column(self, unit: Unit) -> int:
        """The unit's column in its site's activations; raises UsageError for an unknown unit."""
        self.check_layer(unit.layer, str(unit))
        if unit.site == "resid":
            return self._direction(unit)
        count = self.count(unit.place)
        if unit.index >= count:
            raise UsageError(
                f"{str(unit)!r}: layer {unit.layer} has {unit.site} units 0 to {count - 1}; "
                "choose one of them"
            )
        return unit.index

    def check_layer(self, layer: int, term: str) -> None:
        """Raise UsageError, quoting the term, unless the subject has the layer."""
        if layer >= self.n_layers:
            raise UsageError(f"{term!r}: {self._layers()}; choose one of them")

    def _layers(self) -> str:
        return f"the subject has layers 0 to {self.n_layers - 1}"

    def _direction(self, unit: Unit) -> int:
        names = self.directions.get(unit.layer, ())
        if unit.name not in names:
            available = ", ".join(
                f"resid.{layer}@{name}"
                for layer in sorted(self.directions)
                for name in self.directions[layer]
            )
            raise UsageError(
                f"{str(unit)!r}: no such direction; known: {available or 'none'}. "
                "Directions come from a file: --directions"
            )
        return names.index(unit.name)


def parse_targets(spec: str, shape: Shape) -> list[Unit]:
    """Parse comma-separated target terms, or the name of a file of them (`#` starts a comment).

    Duplicates are dropped and the order is kept. A sample is
    `sorted(np.random.default_rng(seed).choice(n, size, replace=False))`; over `*` it is one draw
    from all layers.

    Raises:
        UsageError: a term cannot be parsed, is out of range, or asks for more units than there are;
            the message quotes it.
    """
    units: dict[Unit, None] = {}
    for term in _terms(spec):
        units.update(dict.fromkeys(_expand(term, shape)))
    if not units:
        raise UsageError(f"no targets in {spec!r}; give terms such as {_FORMS}")
    return list(units)


def _terms(spec: str) -> Iterator[str]:
    for term in _split(spec):
        is_term = any(form.fullmatch(term) for form in (_UNIT, _RANGE, _SAMPLE))
        if is_term or not os.path.isfile(term):
            yield term
        else:
            yield from _terms_of_file(Path(term))


def _terms_of_file(path: Path) -> Iterator[str]:
    from ..rows import read_lines

    try:
        lines = [text for _, text in read_lines(path)]
    except UsageError as error:
        raise UsageError(f"{error}; a file of targets holds terms such as {_FORMS}") from None
    for line in lines:
        yield from _split(line.partition("#")[0])


def _split(terms: str) -> Iterator[str]:
    return filter(None, (part.strip() for part in terms.split(",")))


def _expand(term: str, shape: Shape) -> list[Unit]:
    if match := _RANGE.fullmatch(term):
        return _range(match, shape)
    if match := _SAMPLE.fullmatch(term):
        return _sample(match, shape)
    unit = Unit.parse(term)
    shape.column(unit)
    return [unit]


def _side(match: re.Match[str]) -> Side:
    return cast(Side, match["side"] or "both")


def _range(match: re.Match[str], shape: Shape) -> list[Unit]:
    kind, layer, side = cast(SiteKind, match["site"]), int(match["layer"]), _side(match)
    first, last = int(match["first"]), int(match["last"])
    if first > last:
        raise UsageError(
            f"{match[0]!r}: the range runs backwards; write {kind}.{layer}.{last}-{first}"
        )
    shape.column(Unit(kind, layer, last))
    return [Unit(kind, layer, index, side=side) for index in range(first, last + 1)]


def _sample(match: re.Match[str], shape: Shape) -> list[Unit]:
    import numpy as np

    kind, side = cast(SiteKind, match["site"]), _side(match)
    if match["layer"] == "*":
        sites = [Site(kind, layer) for layer in range(shape.n_layers)]
    else:
        shape.check_layer(int(match["layer"]), match[0])
        sites = [Site(kind, int(match["layer"]))]

    # The sites' units are numbered through, so that a sample of all layers is one draw.
    starts = np.cumsum([0, *(shape.count(site) for site in sites)])
    n = int(starts[-1])
    size = n if match["size"] is None else int(match["size"])
    if not n:
        raise UsageError(f"{match[0]!r}: no units there")
    if not 0 < size <= n:
        raise UsageError(f"{match[0]!r} asks for {size} of {n} units; ask for 1 to {n}")
    if size == n:
        drawn = np.arange(n)
    else:
        rng = np.random.default_rng(int(match["seed"] or 0))
        drawn = np.sort(rng.choice(n, size, replace=False))
    at = np.searchsorted(starts, drawn, side="right") - 1
    columns = drawn - starts[at]
    return [
        replace(shape.unit(sites[i], column), side=side)
        for i, column in zip(at.tolist(), columns.tolist(), strict=True)
    ]


def _unreadable(text: str) -> UsageError:
    if text.strip().startswith("sae."):
        kinds = ", ".join(get_args(SiteKind))
        return UsageError(
            f"{text!r}: sparse-autoencoder latents are not yet supported; use {kinds} units"
        )
    return UsageError(
        f"{text!r} is not a unit, range, sample or file of targets; valid are {_FORMS}"
    )
