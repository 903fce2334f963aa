"""What an explanation can be made of: the families of concepts, and the names that each has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..dissection.concept_help import FamilyHelp, family_help
from .registry import InstrumentContext, Result, Text, instrument


@dataclass(frozen=True)
class Concepts(Result):
    """Families of concepts with their usage, and all names of those that were asked for by name."""

    families: list[FamilyHelp]
    with_names: bool

    def render(self) -> str:
        return "\n".join(self._line(family) for family in self.families)

    def _line(self, family: FamilyHelp) -> str:
        if not family.names:
            return f"{family.usage}: {family.what}"
        if self.with_names:
            return f"{family.usage}: {family.what}\n  {', '.join(family.names)}"
        return f"{family.usage}: {family.what} ({len(family.names)} names)"


@instrument("concepts", needs=())
def concepts(
    context: InstrumentContext,
    family: Annotated[Text | None, Field(description="a family, to list all of its names")] = None,
) -> Concepts:
    """List the families of concepts of which formulas are made, or all names of one family."""
    return Concepts(family_help(family), family is not None)
