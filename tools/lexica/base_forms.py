"""The readings that a word may have when no tagger says which: its dictionary forms by its ending.

1. The word itself in any part of speech; irregular forms from ``irregular.txt``.
2. Regular endings come off: -s, -ed, -ing, -er, -est, with a final e or without a doubled letter.

A form that is no word does no harm: no class has it as a member.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .class_key import NAME, NOUN

FILE = Path(__file__).parent / "irregular.txt"
_ENDINGS = {
    "n": ((r"ies$", "y"), (r"(?<=s|x|z|h)es$", ""), (r"(?<=[^s])s$", ""), (r"men$", "man")),
    "v": (
        (r"ies$", "y"),
        (r"(?<=s|x|z|h|o)es$", ""),
        (r"(?<=[^s])s$", ""),
        (r"ied$", "y"),
        (r"(?:ed|ing)$", ""),
        (r"(?:ed|ing)$", "e"),
        (r"([bdgklmnprt])\1(?:ed|ing)$", r"\1"),
    ),
    "a": (
        (r"i(?:er|est)$", "y"),
        (r"(?:er|est)$", ""),
        (r"(?:er|est)$", "e"),
        (r"([bdgnt])\1(?:er|est)$", r"\1"),
    ),
}
"""Part of speech to endings and what takes their place."""
SHORTEST = 2
"""Letters of a form; with one, *as* is the plural of the letter *a*."""


@cache
def irregular_forms() -> dict[str, list[str]]:
    """The readings of each irregular form."""
    readings: dict[str, list[str]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            reading, _, forms = line.partition(": ")
            for form in forms.split():
                readings.setdefault(form, []).append(reading)
    return readings


def possible_readings(word: str) -> tuple[str, ...]:
    """All readings of a word as it is written; with a capital it is a name before it is a noun."""
    lower = word.lower()
    noun = NAME if word[:1].isupper() else NOUN
    readings = list(irregular_forms().get(lower, ()))
    for part in ("n", "v", "a", "r"):
        if part not in (reading[-1] for reading in readings):
            forms = dict.fromkeys((lower, *_without_endings(lower, part)))
            readings += [f"{form} {part}" for form in forms if len(form) >= SHORTEST]
    if noun == NAME:
        readings = [f"{r[:-1]}{NAME}" if r.endswith(NOUN) else r for r in readings]
    return tuple(readings)


def _without_endings(word: str, part: str) -> Iterator[str]:
    for ending, replacement in _ENDINGS.get(part, ()):
        form, n_changes = re.subn(ending, replacement, word)
        if n_changes:
            yield form
