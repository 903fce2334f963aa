"""The nulls and controls of a run, made from the words in its configuration.

`RunConfig.nulls` maps an address behind the layer's last neuron to what stands there: "noise",
"shuffled:mlp.9.33", "rotated", "redrawn:mlp.6.33".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ...tools.subject.address import Unit

if TYPE_CHECKING:
    from ...tools.subject import Subject
    from ...tools.subject.nulls import ArtificialUnit

CONTROLS = ("rotated", "redrawn")


def is_control(kind: str) -> bool:
    """Whether that word names a control (something to explain that no model learned) and not a null."""
    return kind.partition(":")[0] in CONTROLS


def artificial_units(
    described: Mapping[str, str], subject: Subject, seed: int, donors: Sequence[Sequence[int]] = ()
) -> list[ArtificialUnit]:
    """The units that the words describe, in that order.

    Args:
        donors: contexts from which shuffled ones take their values on new text.

    Raises:
        UsageError: a word is not known.
    """
    from ...tools.subject import nulls

    units: dict[str, ArtificialUnit] = {}
    by_layer: dict[int, list[Unit]] = {}
    for address, words in described.items():
        kind, _, source = words.partition(":")
        unit = Unit.parse(address)
        if kind == "noise":
            units[address] = nulls.NoiseUnit(unit=unit, seed=seed)
        elif kind == "shuffled":
            units[address] = nulls.shuffled_unit(
                subject, unit, Unit.parse(source), seed=seed, donors=donors
            )
        elif kind == "redrawn":
            units[address] = nulls.redrawn_unit(subject, unit, Unit.parse(source), seed=seed)
        elif kind == "rotated":
            by_layer.setdefault(unit.layer, []).append(unit)
        else:
            known = "noise, shuffled:UNIT, rotated, redrawn:UNIT"
            raise UsageError(
                f"{address}: no null or control is called {words!r}; known are {known}"
            )
    for rotated in by_layer.values():
        units |= {str(u.unit): u for u in nulls.rotated_units(subject, rotated, seed=seed)}
    return [units[address] for address in described]
