"""The nulls and controls of a run, made from their descriptions in its configuration.

`RunConfig.nulls` maps an address after the layer's last neuron to what is there: "noise",
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
    """Whether a description is of a control (has structure, but no model learned it) and not of a null."""
    return kind.partition(":")[0] in CONTROLS


def artificial_units(
    descriptions: Mapping[str, str],
    subject: Subject,
    seed: int,
    donors: Sequence[Sequence[int]] = (),
) -> list[ArtificialUnit]:
    """The units of these descriptions, in their order.

    Args:
        donors: contexts from which shuffled units take their values on new text.

    Raises:
        UsageError: a description is not known.
    """
    from ...tools.subject import nulls

    units: dict[str, ArtificialUnit] = {}
    by_layer: dict[int, list[Unit]] = {}
    for address, description in descriptions.items():
        kind, _, source = description.partition(":")
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
            raise UsageError(
                f"{address}: unknown null or control {description!r}; known ones are noise, "
                "shuffled:UNIT, rotated, redrawn:UNIT"
            )
    for rotated in by_layer.values():  # the units of a layer are rotated together
        units |= {str(u.unit): u for u in nulls.rotated_units(subject, rotated, seed=seed)}
    return [units[address] for address in descriptions]
