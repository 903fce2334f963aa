"""What tiny transformers are taught: sequences, and what is to be said at the end and, where it
helps, before.

Token 0 starts every sequence. Nothing here says how the answer is to be found; that is the model's
own affair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ...tools.errors import UsageError

START, SILENT = 0, -100
"""The start token, and the target where nothing is to be said (torch's `ignore_index`)."""


class Drawn(NamedTuple):
    """Sequences, and what is to be said behind each token; the last target is the answer."""

    ids: Int[np.ndarray, "row length"]
    targets: Int[np.ndarray, "row length"]


class Lesson(NamedTuple):
    """A task.

    Attributes:
        vocabulary: tokens, the start included.
        draw: rows of the distribution.
        steps: of training, enough for at least 99 % of answers right.
    """

    name: str
    vocabulary: int
    draw: Callable[[np.random.Generator, int], Drawn]
    steps: int


LESSONS: dict[str, Lesson] = {}


def _lesson(
    vocabulary: int, steps: int
) -> Callable[[Callable[[np.random.Generator, int], Drawn]], None]:
    def register(draw: Callable[[np.random.Generator, int], Drawn]) -> None:
        name = draw.__name__.strip("_").replace("_", "-")
        LESSONS[name] = Lesson(name, vocabulary, draw, steps)

    return register


def lesson(name: str) -> Lesson:
    """A lesson by name; raises UsageError that lists the known ones."""
    if name not in LESSONS:
        raise UsageError(f"trained model {name!r} asked for; known: {', '.join(LESSONS)}")
    return LESSONS[name]


@_lesson(vocabulary=13, steps=1000)
def _induction(rng: np.random.Generator, n: int) -> Drawn:
    """Seven different letters of twelve; then three of them again, each to be followed by what
    followed it. (With a row that merely repeats, models find its period and grow no induction
    heads.)"""
    letters = rng.permuted(np.tile(np.arange(1, 13), (n, 1)), axis=1)[:, :7]
    starts = rng.permuted(np.tile(np.arange(6), (n, 1)), axis=1)[:, :3]
    again, followed = (np.take_along_axis(letters, starts + more, axis=1) for more in (0, 1))
    told = np.stack([again, followed], axis=2).reshape(n, 6)[
        :, :-1
    ]  # the last one's follower is the answer
    ids = np.concatenate([np.full((n, 1), START), letters, told], axis=1)
    targets = np.full_like(ids, SILENT)
    targets[:, -5::2] = followed
    return Drawn(ids, targets)


@_lesson(vocabulary=8, steps=400)
def _reverse(rng: np.random.Generator, n: int) -> Drawn:
    """Five letters of six, a bar, and the letters backwards."""
    bar = 7
    letters = rng.integers(1, bar, (n, 5))
    ids = np.concatenate(
        [np.full((n, 1), START), letters, np.full((n, 1), bar), letters[:, :0:-1]], axis=1
    )
    targets = np.concatenate([np.full((n, 6), SILENT), letters[:, ::-1]], axis=1)
    return Drawn(ids, targets)


@_lesson(vocabulary=12, steps=600)
def _modular_addition(rng: np.random.Generator, n: int) -> Drawn:
    """a + b modulo 11; token 0 stands for the equals sign too. All 121 sums are taught."""
    a, b = rng.integers(0, 11, (2, n))
    ids = np.stack([np.full(n, START), a + 1, b + 1, np.full(n, START)], axis=1)
    return _at_the_end(ids, (a + b) % 11 + 1)


@_lesson(vocabulary=5, steps=600)
def _dyck_1(rng: np.random.Generator, n: int) -> Drawn:
    """Ten brackets (1 opens, 2 closes): 3 if they are balanced and none closes before it opens, else 4."""
    half = np.array([1, -1] * 5)
    steps = rng.permuted(np.tile(half, (n, 1)), axis=1)
    order = (
        rng.random(n) < 0.5
    )  # half of the rows are made right: the walk is turned over where it is below the ground
    depth = steps.cumsum(1)
    below = (depth < 0) | ((depth == 0) & (steps == 1))
    steps = np.where(order[:, None] & below, -steps, steps)
    good = (steps.cumsum(1) >= 0).all(1) & (steps.sum(1) == 0)
    ids = np.concatenate([np.full((n, 1), START), np.where(steps == 1, 1, 2)], axis=1)
    return _at_the_end(ids, np.where(good, 3, 4))


def _at_the_end(ids: Int[np.ndarray, "row length"], answers: Int[np.ndarray, " row"]) -> Drawn:
    targets = np.full_like(ids, SILENT)
    targets[:, -1] = answers
    return Drawn(ids, targets)
