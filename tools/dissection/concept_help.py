"""What there is to name in a formula, from the families themselves, so that no list lags behind."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields
from functools import cache

from ..errors import UsageError
from .concepts import FAMILIES, Concept, find_family

_LISTING = re.compile(r"(?:there are|is one of) (.+?)(?:, not |$)", re.DOTALL)
_NO_NAME = "?"


@dataclass(frozen=True)
class FamilyHelp:
    """A family of concepts.

    Attributes:
        usage: its printed form, with the names of its arguments: ``kind(name)``.
        what: what it holds at.
        names: all that the argument can be; none where it can be any word, number or concept.
    """

    family: str
    usage: str
    what: str
    names: tuple[str, ...]


def family_help(family: str | None = None) -> list[FamilyHelp]:
    """One family, or all in alphabetical order; UsageError lists the known ones."""
    names = sorted(FAMILIES) if family is None else [find_family(family).family]
    return [_help(name) for name in names]


@cache
def _help(name: str) -> FamilyHelp:
    cls = FAMILIES[name]
    arguments = ", ".join(field.name for field in fields(cls))
    what = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]
    return FamilyHelp(name, f"{name}({arguments})", " ".join(what.split()), _names(cls))


def _names(cls: type[Concept]) -> tuple[str, ...]:
    """The names that a family accepts, as it lists them when it refuses one that it does not have."""
    try:
        cls.from_arguments(_NO_NAME)
    except UsageError as error:
        listing = _LISTING.search(str(error))
        return tuple(listing[1].split(", ")) if listing else ()
    return ()
