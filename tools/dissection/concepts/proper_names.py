"""Names: their kind, one of them as a whole, and a word's place in them.

entity("person")  name("new south wales")  in_name("later")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...annotation import names
from .base import Concept, family, require, text_arguments
from .grammatical import NamedValue
from .tagged import LayerValues, TaggedWord

_PLACES = ("building", "country or city", "landscape")


@family("entity")
@dataclass(frozen=True)
class EntityKind(NamedValue):
    """A word of a name, date or amount of one kind, as a tagger reads it in its sentence."""

    layer: ClassVar[str] = "entity"
    groups: ClassVar[Mapping[str, Sequence[str]]] = {
        "place": _PLACES,
        "name": names.NAMES,
        "amount": ("measurement", "number", "ordinal", "percentage", "sum of money"),
        "time": ("date", "time of day"),
    }
    phrases: ClassVar[Mapping[str, str]] = {
        "amount": "amounts",
        "building": "names of buildings and roads",
        "country or city": "names of countries and cities",
        "date": "dates",
        "event": "names of events",
        "landscape": "names of regions, rivers and seas",
        "language": "names of languages",
        "law": "names of laws",
        "measurement": "measurements",
        "name": "proper names",
        "nationality or group": "names of nationalities and groups",
        "number": "counts",
        "ordinal": "ordinals",
        "organisation": "names of organisations",
        "percentage": "percentages",
        "person": "names of people",
        "place": "names of places",
        "product": "names of products",
        "sum of money": "sums of money",
        "time": "dates and times",
        "time of day": "times of day",
        "work of art": "titles of works",
    }


@family("name")
@dataclass(frozen=True)
class WholeName(TaggedWord):
    """Every word of one name: ``name("new south wales")``, in any casing."""

    words: str

    def __post_init__(self) -> None:
        text_arguments((self.words,), self.family)
        require(self.words == self.words.lower(), f"a name is in lower case: {self.words!r}")

    def reading(self) -> LayerValues:
        return LayerValues("name", (self.words,))

    def phrase(self) -> str:
        return f'mentions of "{self.words}"'

    def literals(self) -> tuple[str, ...]:
        return (self.words,)

    @classmethod
    def layers(cls) -> tuple[str, ...]:
        return ("name",)

    @classmethod
    def of_value(cls, layer: str, value: str) -> Concept | None:
        return cls(value) if " " in value else None  # of one word it is a lemma


@family("in_name")
@dataclass(frozen=True)
class PlaceInName(NamedValue):
    """The first, or a later, word of a name, date or amount."""

    layer: ClassVar[str] = "entity_place"
    phrases: ClassVar[Mapping[str, str]] = {
        "first": "first words of names",
        "later": "later words of names",
    }
