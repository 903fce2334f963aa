"""How a class of WordNet is written: ``animal``, ``bank 2``, ``move v``, ``size values``."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import UsageError

NOUN, NAME, VALUES = "n", "p", "values"
_WRITTEN = re.compile(
    r"(?P<lemma>\S(?:.*?\S)?)(?: (?P<part>[npva]|values))?(?: (?P<number>[1-9]\d?))?"
)


class ClassKey(NamedTuple):
    """The class of all that is a kind or an instance of one sense of a lemma.

    Args:
        part: of speech: n(oun), v(erb), a(djective), or p for a name.
        number: which of the lemma's senses, by frequency.
        is_attribute: the adjectives that are values of this noun, as *big* is one of *size*.
    """

    lemma: str
    part: str = NOUN
    number: int = 1
    is_attribute: bool = False

    @property
    def members_part(self) -> str:
        """Part of speech of the members; a kind of thing has names among them, too."""
        return "a" if self.is_attribute else self.part

    def to_text(self) -> str:
        """The written form; ``parse_key`` reads it back."""
        part = VALUES if self.is_attribute else self.part
        looks_numbered = bool(re.search(r" (?:[npva]|values|\d+)$", self.lemma))
        text = self.lemma if part == NOUN and not looks_numbered else f"{self.lemma} {part}"
        return text if self.number == 1 else f"{text} {self.number}"


def parse_key(written: str) -> ClassKey:
    """Read the written form; raises UsageError if it is none."""
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise UsageError(
            f"a class of WordNet is written like `animal`, `bank 2` or `move v`, not {written!r}"
        )
    part = match["part"] or NOUN
    number = int(match["number"] or 1)
    if part == VALUES:
        return ClassKey(match["lemma"], NOUN, number, is_attribute=True)
    return ClassKey(match["lemma"], part, number)
