"""Tasks of the tiny trained transformers: sequences and their target tokens, at the last position
and, where it helps training, at earlier ones.

Token 0 starts every sequence. How to compute the answer is left to the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ...tools.errors import UsageError

START, SILENT = 0, -100
"""The start token, and the target of positions that are not trained (torch's `ignore_index`)."""


class Sequences(NamedTuple):
    """Sequences and the target after each token; the last target is the answer."""

    ids: Int[np.ndarray, "row length"]
    targets: Int[np.ndarray, "row length"]


Draw = Callable[[np.random.Generator, int], Sequences]


class TrainingTask(NamedTuple):
    """A task.

    Attributes:
        vocabulary: number of tokens, the start token included.
        draw: draws n sequences.
        steps: training steps, enough for at least 99 % of answers right.
    """

    name: str
    vocabulary: int
    draw: Draw
    steps: int


TASKS: dict[str, TrainingTask] = {}


def _task(vocabulary: int, steps: int) -> Callable[[Draw], None]:
    def register(draw: Draw) -> None:
        name = draw.__name__.strip("_").replace("_", "-")
        TASKS[name] = TrainingTask(name, vocabulary, draw, steps)

    return register


def training_task(name: str) -> TrainingTask:
    """A task by name.

    Raises:
        UsageError: the name is unknown; the message lists the known ones.
    """
    if name not in TASKS:
        raise UsageError(f"unknown trained model {name!r}; known: {', '.join(TASKS)}")
    return TASKS[name]


@_task(vocabulary=13, steps=1000)
def _induction(rng: np.random.Generator, n: int) -> Sequences:
    """Seven different letters of twelve, then three of them again, each followed by what followed it.

    A row that merely repeated would teach the model its period, without induction heads.
    """
    letters = rng.permuted(np.tile(np.arange(1, 13), (n, 1)), axis=1)[:, :7]
    starts = rng.permuted(np.tile(np.arange(6), (n, 1)), axis=1)[:, :3]
    again, followed = (np.take_along_axis(letters, starts + step, axis=1) for step in (0, 1))
    pairs = np.stack([again, followed], axis=2).reshape(n, 6)
    # the follower of the last letter is the answer, not part of the sequence
    ids = np.concatenate([np.full((n, 1), START), letters, pairs[:, :-1]], axis=1)
    targets = np.full_like(ids, SILENT)
    targets[:, -5::2] = followed
    return Sequences(ids, targets)


@_task(vocabulary=8, steps=400)
def _reverse(rng: np.random.Generator, n: int) -> Sequences:
    """Five letters of six, a bar, and the letters backwards."""
    bar = 7
    letters = rng.integers(1, bar, (n, 5))
    ids = np.concatenate(
        [np.full((n, 1), START), letters, np.full((n, 1), bar), letters[:, :0:-1]], axis=1
    )
    targets = np.concatenate([np.full((n, 6), SILENT), letters[:, ::-1]], axis=1)
    return Sequences(ids, targets)


@_task(vocabulary=12, steps=600)
def _modular_addition(rng: np.random.Generator, n: int) -> Sequences:
    """a + b modulo 11; token 0 also serves as the equals sign. All 121 sums are trained."""
    a, b = rng.integers(0, 11, (2, n))
    ids = np.stack([np.full(n, START), a + 1, b + 1, np.full(n, START)], axis=1)
    return _at_the_end(ids, (a + b) % 11 + 1)


@_task(vocabulary=5, steps=600)
def _dyck_1(rng: np.random.Generator, n: int) -> Sequences:
    """Ten brackets (1 opens, 2 closes): 3 if they are balanced and none closes before it opens, else 4."""
    half = np.array([1, -1] * 5)
    steps = rng.permuted(np.tile(half, (n, 1)), axis=1)
    # half of the rows are made valid: the walk is mirrored where it is below zero
    valid = rng.random(n) < 0.5
    depth = steps.cumsum(1)
    below = (depth < 0) | ((depth == 0) & (steps == 1))
    steps = np.where(valid[:, None] & below, -steps, steps)
    balanced = (steps.cumsum(1) >= 0).all(1) & (steps.sum(1) == 0)
    ids = np.concatenate([np.full((n, 1), START), np.where(steps == 1, 1, 2)], axis=1)
    return _at_the_end(ids, np.where(balanced, 3, 4))


def _at_the_end(ids: Int[np.ndarray, "row length"], answers: Int[np.ndarray, " row"]) -> Sequences:
    targets = np.full_like(ids, SILENT)
    targets[:, -1] = answers
    return Sequences(ids, targets)
