"""Addresses of units, and the small language in which a user says which ones to explain.

    mlp.12.803      MLP neuron 803 of layer 12 (an input of the down projection)
    mlp.12.803-     its negative side;  mlp.12.803+  its positive side
    head.5.3        attention head 3 of layer 5 (the norm of what it writes)
    resid.8@NAME    a named direction of the residual stream after layer 8
    sae.NAME.4512   latent 4512 of the dictionary NAME, which says in which layer it is read
    resid.8         the whole stream after layer 8 (for interventions only; it cannot be a target)

Target terms add ranges and samples: `mlp.10.0-99`, `mlp.3` (the layer), `mlp.*` (all layers),
`mlp.1~50@7` (50 random units of layer 1, seed 7), `mlp.*~50@7` (50 of all layers in one draw), and the
same of a dictionary: `sae.NAME.0-99`, `sae.NAME`, `sae.NAME~50@7`. Any term may end in a side. This
module needs no torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from ..errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

SiteKind = Literal["mlp", "head", "resid", "sae"]
VectorKind = Literal["stream", "mid", "attn_out", "z", "mlp_in", "mlp", "mlp_out"]
PlaceKind = Literal[SiteKind, VectorKind]
Side = Literal["both", "+", "-"]

NO_LAYER = -1
"""The layer in an address that does not say it: that of a latent (see `Shape.layer_of`)."""

_FORMS = "mlp.12.803, mlp.12.803-, mlp.10.0-99, mlp.1~50@7, mlp.*~50@7, head.5.3, resid.8@NAME, sae.NAME.4"
_NAME = r"[^\s,+-](?:[^\s,]*[^\s,+-])?"  # cannot end in a sign, which would read as a side
DICTIONARY_NAME = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
"""Safe in a file's name, no number, and without the signs that mean something in a target."""
_OF_DICTIONARY = rf"sae\.(?P<dictionary>{DICTIONARY_NAME.pattern})"
_UNIT = re.compile(
    rf"(?:(?:(?P<site>mlp|head)\.(?P<layer>\d+)|{_OF_DICTIONARY})\.(?P<index>\d+)"
    rf"|resid\.(?P<at>\d+)(?:@(?P<name>{_NAME}))?)(?P<side>[+-]?)"
)
_RANGE = re.compile(
    rf"(?:(?P<site>mlp|head)\.(?P<layer>\d+)|{_OF_DICTIONARY})"
    r"\.(?P<first>\d+)-(?P<last>\d+)(?P<side>[+-]?)"
)
_SAMPLE = re.compile(
    rf"(?:(?P<site>mlp|head|resid)\.(?P<layer>\d+|\*)|{_OF_DICTIONARY})(?:\.\*)?"
    r"(?:~(?P<size>\d+)(?:@(?P<seed>\d+))?)?(?P<side>[+-]?)"
)


class Site(NamedTuple):
    """A point of the forward pass where activations are read: a kind and a layer.

    "mlp", "head", "resid" and "sae" have one unit per column. "z" (the input of the attention's output
    projection, all heads side by side), "stream" (the residual stream after the layer; layer -1: the
    embedding), "mid" (the residual stream that the MLP's norm reads), "mlp_in" (that norm's output,
    the input of the MLP), "attn_out" and "mlp_out" (what the two add to the stream) are raw vectors.

    Attributes:
        layer: `NO_LAYER` for "sae".
        name: of the dictionary whose latents are the units of "sae"; "" for all other kinds.
    """

    kind: PlaceKind
    layer: int
    name: str = ""

    @classmethod
    def of_dictionary(cls, name: str) -> Site:
        """The site of a dictionary's latents."""
        return cls("sae", NO_LAYER, name)

    def __str__(self) -> str:
        return f"{self.kind}.{self.name or self.layer}"

    @property
    def file_stem(self) -> str:
        """As in the names of files: mlp-12, sae-NAME."""
        return f"{self.kind}-{self.name or self.layer}"

    @property
    def is_one_sided(self) -> bool:
        """Whether no unit is ever negative: norms, and the latents of dictionaries."""
        return self.kind in ("head", "sae")


@dataclass(frozen=True, order=True)
class Unit:
    """One scalar signal of the subject, or one side of it.

    Attributes:
        layer: `NO_LAYER` for a latent, whose dictionary says it: see `Shape.layer_of`.
        index: the neuron's, head's or latent's number; 0 for a direction, which has a name instead.
        name: the direction's name, or that of a latent's dictionary; "" with site "resid" means the
            whole stream.
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
        if match["dictionary"]:
            return cls("sae", NO_LAYER, int(match["index"]), match["dictionary"], side)
        return cls("resid", int(match["at"]), name=match["name"] or "", side=side)

    def __str__(self) -> str:
        sign = "" if self.side == "both" else self.side
        if self.site == "resid":
            return f"resid.{self.layer}" + (f"@{self.name}" if self.name else "") + sign
        return f"{self.place}.{self.index}{sign}"

    @property
    def place(self) -> Site:
        """The site that the unit is a column of."""
        return Site(self.site, self.layer, self.name if self.site == "sae" else "")

    @property
    def is_one_sided(self) -> bool:
        """Whether the unit is never negative."""
        return self.site in ("head", "sae")

    @property
    def stated_side(self) -> Side:
        """The side that a sentence speaks of; a unit that is never negative has only one."""
        return "+" if self.is_one_sided else self.side

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
class DictionaryShape:
    """Where a dictionary's latents are read, and how many there are.

    Attributes:
        reads, writes: see `tools.dictionaries`.
    """

    reads: Site
    writes: Site
    n_latents: int

    @property
    def layer(self) -> int:
        """The layer that its latents are read in."""
        return self.reads.layer


@dataclass(frozen=True)
class Shape:
    """How many units of each kind a subject has.

    Attributes:
        n_neurons: MLP neurons per layer, or a tuple with each layer's number.
        directions: names of the directions by layer, in the order of their columns.
        dictionaries: by name.
    """

    n_layers: int
    n_neurons: int | tuple[int, ...]
    n_heads: int
    directions: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    dictionaries: Mapping[str, DictionaryShape] = field(default_factory=dict[str, DictionaryShape])

    def raw(self, site: Site) -> Site:
        """The site of the raw vectors that a site's units are computed from."""
        if site.kind == "sae":
            return self.dictionaries[site.name].reads
        raw_kinds: dict[str, PlaceKind] = {"head": "z", "resid": "stream"}
        return Site(raw_kinds.get(site.kind, site.kind), site.layer)

    def layer_of(self, unit: Unit) -> int:
        """The layer that a unit is read in; raises UsageError for an unknown dictionary."""
        if unit.site == "sae":
            return self._dictionary(unit.name, str(unit)).layer
        return unit.layer

    def count(self, site: Site) -> int:
        """Number of units at a site of kind mlp, head, resid or sae."""
        if site.kind == "sae":
            return self.dictionaries[site.name].n_latents if site.name in self.dictionaries else 0
        if site.kind == "head":
            return self.n_heads
        if site.kind == "resid":
            return len(self.directions.get(site.layer, ()))
        return self.n_neurons if isinstance(self.n_neurons, int) else self.n_neurons[site.layer]

    def unit(self, site: Site, column: int) -> Unit:
        """The unit in a column of the site's activations."""
        if site.kind == "resid":
            return Unit("resid", site.layer, name=self.directions[site.layer][column])
        return Unit(cast(SiteKind, site.kind), site.layer, column, site.name)

    def check(self, site: Site) -> None:
        """Raise UsageError unless the subject has the layer and, for resid, directions there."""
        if site.kind == "sae":
            self._dictionary(site.name, str(site))
            return
        first = -1 if site.kind == "stream" else 0  # before the first layer is the embedding
        if not first <= site.layer < self.n_layers:
            raise UsageError(f"layer {site.layer} given ({site.kind}); {self._layers()}")
        if site.kind == "resid" and not self.directions.get(site.layer):
            raise UsageError(
                f"layer {site.layer} has no named directions; give some with --directions"
            )

    def column(self, unit: Unit) -> int:
        """The unit's column in its site's activations; raises UsageError for an unknown unit."""
        if unit.site == "sae":
            self._dictionary(unit.name, str(unit))
        else:
            self.check_layer(unit.layer, str(unit))
        if unit.site == "resid":
            return self._direction(unit)
        count = self.count(unit.place)
        if unit.index >= count:
            has = (
                f"the dictionary {unit.name!r} has latents"
                if unit.site == "sae"
                else f"layer {unit.layer} has {unit.site} units"
            )
            raise UsageError(f"{str(unit)!r}: {has} 0 to {count - 1}; choose one of them")
        return unit.index

    def check_layer(self, layer: int, term: str) -> None:
        """Raise UsageError, quoting the term, unless the subject has the layer."""
        if layer >= self.n_layers:
            raise UsageError(f"{term!r}: {self._layers()}; choose one of them")

    def _layers(self) -> str:
        return f"the subject has layers 0 to {self.n_layers - 1}"

    def _dictionary(self, name: str, term: str) -> DictionaryShape:
        if name not in self.dictionaries:
            known = ", ".join(f"sae.{known}" for known in self.dictionaries)
            raise UsageError(
                f"{term!r}: no such dictionary; known: {known or 'none'}. "
                "Dictionaries are given as --dictionary NAME=PATH"
            )
        return self.dictionaries[name]

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
    site, side = _site_of(match, shape), _side(match)
    first, last = int(match["first"]), int(match["last"])
    if first > last:
        raise UsageError(f"{match[0]!r}: the range runs backwards; write {site}.{last}-{first}")
    shape.column(Unit(cast(SiteKind, site.kind), site.layer, last, site.name))
    return [replace(shape.unit(site, index), side=side) for index in range(first, last + 1)]


def _sample(match: re.Match[str], shape: Shape) -> list[Unit]:
    import numpy as np

    side = _side(match)
    if match["layer"] == "*":
        kind = cast(SiteKind, match["site"])
        sites = [Site(kind, layer) for layer in range(shape.n_layers)]
    else:
        sites = [_site_of(match, shape)]

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


def _site_of(match: re.Match[str], shape: Shape) -> Site:
    """The site of a term; raises UsageError unless the subject has its layer or dictionary."""
    if match["dictionary"]:
        site = Site.of_dictionary(match["dictionary"])
        shape.check(site)
        return site
    shape.check_layer(int(match["layer"]), match[0])
    return Site(cast(SiteKind, match["site"]), int(match["layer"]))


def _unreadable(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a unit, range, sample or file of targets; valid are {_FORMS}"
    )
