"""Names of places: what other tools call a layer's neurons, heads or latents, and what hubel does.

Other formats number the units of a *module*. A run's units get the modules below, and these are read
back. Any other module is a dictionary of that name, unless the user says what it is: what most tools
number at `layers.15.mlp` are the latents of a dictionary there, and to take them for neurons would
give every explanation to another unit.

    mlp.10.1352     layers.10.neurons, 1352
    mlp.10.1352-    layers.10.negative-neurons, 1352
    head.25.2       layers.25.heads, 2
    sae.NAME.4512   NAME, 4512

The names do not contain each other, since delphi finds the files of a module by a part of their name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ...tools.errors import UsageError
from ...tools.subject.address import Unit

_SIDES = {"both": "", "": "", "-": "negative-", "+": "positive-"}
_SIGNS = {"": "", "negative-": "-", "positive-": "+"}
_MODULE = re.compile(
    r"(?:layers\.(?P<layer>\d+)\.|(?P<number>\d+)-)(?P<side>negative-|positive-)?(?P<kind>neurons|heads)"
)
_LATENT = re.compile(r"sae\.(?P<name>[^\s,]+)\.(?P<index>\d+)(?P<side>[+-]?)")
_PLACE = re.compile(r"(?:mlp|head)\.\d+|sae\.[^\s,]+")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_KINDS = {"neurons": "mlp", "heads": "head"}


class NumberedUnit(NamedTuple):
    """A unit as a format has it that numbers units of modules."""

    module: str
    number: int


def numbered(address: str) -> NumberedUnit | None:
    """Module and number of a unit; None for a direction, which has a name and no number."""
    if match := _LATENT.fullmatch(address):
        return NumberedUnit(_SIDES[match["side"]] + match["name"], int(match["index"]))
    unit = Unit.parse(address)
    if unit.site == "resid":
        return None
    kind = "heads" if unit.site == "head" else "neurons"
    return NumberedUnit(f"layers.{unit.layer}.{_SIDES[unit.side]}{kind}", unit.index)


@dataclass
class PlaceNames:
    """From modules of a file to places here, with what was assumed."""

    given: Mapping[str, str] = field(default_factory=dict)
    """What the user says: module to ``mlp.6``, ``head.5`` or ``sae.NAME``."""
    assumed: dict[str, str] = field(default_factory=dict)
    """What was taken without being said: module to place."""

    def __post_init__(self) -> None:
        for module, place in self.given.items():
            if not _PLACE.fullmatch(place):
                raise UsageError(
                    f"--as {module}={place}: the place is mlp.LAYER, head.LAYER or sae.NAME"
                )

    def address(self, module: str, index: int) -> str:
        """The address of a unit of a module."""
        if module in self.given:
            return f"{self.given[module]}.{index}"
        if match := _MODULE.fullmatch(module):
            side = match["side"] or ""
            place = f"{_KINDS[match['kind']]}.{match['layer'] or match['number']}"
        else:
            side = next((s for s in ("negative-", "positive-") if module.startswith(s)), "")
            name = _UNFIT.sub("-", module.removeprefix(side).removeprefix("sae."))
            place = f"sae.{name.strip('-.') or 'unnamed'}"
            self.assumed[module] = place
        return f"{place}.{index}{_SIGNS[side]}"

    def notes(self) -> list[str]:
        """What was assumed, one line."""
        if not self.assumed:
            return []
        pairs = list(self.assumed.items())
        listed = ", ".join(f"{module} as {place}" for module, place in pairs[:5])
        more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        return [f"read as latents of dictionaries: {listed}{more}; if not: --as MODULE=PLACE"]


def check_address(address: str) -> str:
    """An address of one unit, as given in a file; raises UsageError for anything else."""
    text = address.strip()
    if _LATENT.fullmatch(text):
        return text
    return str(Unit.parse(text))
