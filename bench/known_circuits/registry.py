"""The register of programs, and what several of them share: draws of prompts, scores of positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...tools.errors import UsageError
from .program import START, Program

Draw = Callable[[np.random.Generator], list[int]]

PROGRAMS: dict[str, Callable[[], Program]] = {}


def register(build: Callable[[], Program]) -> Callable[[], Program]:
    """Register a program under its function's name, with hyphens.

    Raises:
        UsageError: the name is taken.
    """
    name = build.__name__.replace("_", "-")
    if name in PROGRAMS:
        raise UsageError(f"a program {name!r} is registered already")
    PROGRAMS[name] = build
    return build


def any_letters(letters: int, length: int) -> Draw:
    """Draws of `length - 1` letters, each at random."""
    return lambda rng: rng.integers(1, letters + 1, length - 1).tolist()


def accepted(draw: Draw, accepts: Callable[[Sequence[int]], bool]) -> Draw:
    """Draw until a prompt is accepted."""

    def draw_accepted(rng: np.random.Generator) -> list[int]:
        while True:
            letters = draw(rng)
            if accepts([START, *letters]):
                return letters

    return draw_accepted


def same(query: int, key: int) -> float:
    """Attention score that matches equal values."""
    return float(query == key)


def back(distance: int) -> Callable[[int, int], float]:
    """Attention score that matches the position `distance` before."""
    return lambda query, key: float(key == query - distance)


def earlier(query: int, key: int) -> float:
    """Attention score that matches all earlier positions but the start."""
    return float(0 < key < query)


def letters_of(prompt: Sequence[int]) -> list[int]:
    """A prompt without its start token."""
    return [int(token) for token in prompt][1:]
