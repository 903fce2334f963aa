"""A target's nearest units as the run recorded them, with what the run itself says of those that are its targets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from ...tools.errors import UsageError
from ...tools.subject.address import Unit


class NearUnit(TypedDict):
    """A unit near a target. `target` and what follows is the run's own, None where it has none."""

    unit: str
    value: float
    """Cosine, or Pearson r."""
    where: str | None
    """Relative depth, as seen from the target."""
    target: str | None
    explanation: str | None
    verdict: str | None


class NearUnits(TypedDict):
    """The nearest units by one measure. `by`: write, move or together; `compared`: how many units there were."""

    by: str | None
    compared: int | None
    alike: list[NearUnit]
    opposite: list[NearUnit]


def similar_units(
    db: sqlite3.Connection, unit: Unit, layer: int, recorded: Mapping[str, Any]
) -> list[NearUnits] | None:
    """Nearest units by direction and by being active together; None when the run recorded none.

    Args:
        layer: the unit's.
    """
    if not recorded:
        return None
    lists = []
    for kind in ("direction", "together"):
        if measure := recorded.get(kind):
            alike, opposite = (
                [
                    _similar_unit(db, unit, layer, address, value)
                    for address, value in _pairs(measure.get(end))
                ]
                for end in ("alike", "opposite")
            )
            by, compared = measure.get("by"), measure.get("compared")
            lists.append(NearUnits(by=by, compared=compared, alike=alike, opposite=opposite))
    return lists


def _pairs(entries: Any) -> Iterator[tuple[str, float]]:
    """The entries that are an address with a number, as every run writes them."""
    for entry in entries or ():
        if isinstance(entry, list) and list(map(type, entry)) in ([str, float], [str, int]):
            yield entry[0], entry[1]


def _similar_unit(
    db: sqlite3.Connection, seen_from: Unit, layer: int, address: str, value: float
) -> NearUnit:
    # the target may be the unit itself, or one of its sides
    row = db.execute(
        "select target, explanation, verdict from targets join texts using (position) "
        "where target in (?, ?, ?) order by target <> ? limit 1",
        [address, f"{address}+", f"{address}-", address],
    ).fetchone()
    target, explanation, verdict = row or (None, None, None)
    return NearUnit(
        unit=address, value=value, where=_relative_depth(address, seen_from, layer),
        target=target, explanation=explanation, verdict=verdict,
    )  # fmt: skip


def _relative_depth(address: str, seen_from: Unit, layer: int) -> str | None:
    from ...tools.instruments.similar_units import relative_depth

    try:
        unit = Unit.parse(address)
    except UsageError:
        return None
    if unit.site != "sae":
        return relative_depth(unit.layer, layer)
    return "same" if unit.place == seen_from.place else None  # the layer of another dictionary
