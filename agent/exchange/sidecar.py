"""hubel.json: what a format has no room for, next to its own files, which no tool of theirs reads.

    {"format": 1, "origin": {...}, "missing": [...], "units": {"MODULE/NUMBER": {unit without texts}}}

So an export that comes back has its formulas, intervals and floors again. A unit's entry counts only
while the format's own file still has the words that hubel wrote: an explanation that somebody changed
is theirs, and the old numbers are not of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .records import ExplainedUnit, ExplanationSet, SetOrigin, unit_of_row, unit_row
from .source_json import read_object

SIDECAR = "hubel.json"
FORMAT = 1


def write_sidecar(folder: Path, explanations: ExplanationSet, names: dict[str, str]) -> None:
    """Write hubel.json.

    Args:
        names: address of a unit to what the format calls it.
    """
    units = {names[unit.unit]: _without_texts(unit) for unit in explanations if unit.unit in names}
    head = explanations.head()
    document = {
        "format": FORMAT,
        "origin": head["origin"],
        "missing": head["missing"],
        "units": units,
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    (folder / SIDECAR).write_text(text + "\n", encoding="utf-8", errors="replace")


def _without_texts(unit: ExplainedUnit) -> dict[str, Any]:
    return unit_row(replace(unit, texts=(), conversation=()))


@dataclass
class Sidecar:
    """An opened hubel.json; without one, nothing is known."""

    origin: SetOrigin | None = None
    units: dict[str, ExplainedUnit] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    """Units whose words are no longer what hubel wrote."""

    @classmethod
    def open(cls, folder: Path) -> Sidecar:
        """The sidecar in a folder.

        Raises:
            UsageError: it is damaged.
        """
        if not (folder / SIDECAR).exists():
            return cls()
        document = read_object(folder / SIDECAR)
        origin, units = document.child("origin"), document.child("units")
        if origin is None or units is None or document.values.get("format") != FORMAT:
            raise document.error("not a hubel.json of this version; delete it to import without it")
        rows = {name: unit_of_row(row) for name, row in units.values.items()}
        return cls(SetOrigin(**origin.values), rows)

    def knows(self, name: str) -> bool:
        """Whether hubel wrote this unit's file."""
        return name in self.units

    def merged(self, name: str, unit: ExplainedUnit) -> ExplainedUnit:
        """A unit as its own files have it, with what the sidecar adds while the words are the same."""
        known = self.units.get(name)
        if known is None:
            return unit
        if known.words != unit.sentence:
            self.changed.append(name)
            return unit
        return replace(known, place=unit.place, texts=unit.texts)

    def notes(self) -> tuple[str, ...]:
        """How many entries did not count."""
        if not self.changed:
            return ()
        n = len(self.changed)
        return (
            f"changed since hubel wrote them, so without formula and scores of {SIDECAR}: {n} units",
        )
