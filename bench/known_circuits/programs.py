"""The programs by name; each file beside this one adds its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...tools.errors import UsageError
from .program import START, Program

Draw = Callable[[np.random.Generator], list[int]]

PROGRAMS: dict[str, Callable[[], Program]] = {}


def known(make: Callable[[], Program]) -> Callable[[], Program]:
    """Register a program under its function's name (with hyphens); a name that is taken is refused."""
    name = make.__name__.replace("_", "-")
    if name in PROGRAMS:
        raise UsageError(f"a program {name!r} is registered already")
    PROGRAMS[name] = make
    return make


def program(name: str) -> Program:
    """A program by name; raises UsageError that lists the known ones."""
    from . import programs_copy, programs_count, programs_decide  # noqa: F401  # they register themselves

    if name not in PROGRAMS:
        raise UsageError(f"program {name!r} given; known: {', '.join(sorted(PROGRAMS))}")
    return PROGRAMS[name]()


def names() -> list[str]:
    """All programs, in order of name."""
    from . import programs_copy, programs_count, programs_decide  # noqa: F401

    return sorted(PROGRAMS)


def any_letters(letters: int, length: int) -> Draw:
    """Draws of `length - 1` letters, each at random."""
    return lambda rng: rng.integers(1, letters + 1, length - 1).tolist()


def accepted(draw: Draw, accepts: Callable[[Sequence[int]], bool]) -> Draw:
    """Draws again until a prompt is accepted."""

    def found(rng: np.random.Generator) -> list[int]:
        while True:
            letters = draw(rng)
            if accepts([START, *letters]):
                return letters

    return found


def same(query: int, key: int) -> float:
    """The score of equal values."""
    return float(query == key)


def back(distance: int) -> Callable[[int, int], float]:
    """The score of the position so many before."""
    return lambda query, key: float(key == query - distance)


def earlier(query: int, key: int) -> float:
    """The score of positions before one's own, the start left out."""
    return float(0 < key < query)


def letters_of(prompt: Sequence[int]) -> list[int]:
    """A prompt without its start token."""
    return [int(token) for token in prompt][1:]
