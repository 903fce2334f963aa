"""Programs that a transformer can run: select and aggregate (a head), threshold and look up
(neurons), answer (logits).

A program is a list of operations on named variables. Each variable has its own coordinates in the
residual stream and one writer:

    token, position, start, one     written by the embeddings, as one-hot vectors (`start` marks the first position)
    attend(...)                     a head: scores add up from tables over (query value, key value); copies the mean of
                                    a variable over the positions with the best score
    lookup(...)                     neurons: any function of one-hot variables
    steps(...)                      neurons: one step for each linear threshold, then a linear map of the steps

A variable is `fixed` if it is the same in every prompt, as positions are. An edge that carries
nothing else cannot make a difference between two prompts, and is not true. Source: Weiss
et al. 2021 (RASP), Lindner et al. 2023 (Tracr); here without a compiler library, and with
thresholds that saturate so that noise does not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

START = 0
"""The token at position 0 of every prompt; heads attend to it when nothing matches."""


@dataclass(frozen=True, eq=False)
class NamedSubspace:
    """A variable: a named subspace of the stream, `fixed` if it is the same in every prompt."""

    name: str
    size: int
    fixed: bool


class ScoreTable(NamedTuple):
    """One table of a head's scores: what a query value gives to a key value."""

    query: NamedSubspace
    key: NamedSubspace
    table: Float[np.ndarray, "query key"]


@dataclass(frozen=True, eq=False)
class Attend:
    """A head; `out` is the mean of `value` over the positions of the highest score, causally."""

    out: NamedSubspace
    terms: tuple[ScoreTable, ...]
    value: NamedSubspace


@dataclass(frozen=True, eq=False)
class Steps:
    """Neurons; `out` = base + read-out of steps, each 0 below its threshold and 1 above it.

    Attributes:
        width: of each step's ramp, in units of what it reads.
    """

    out: NamedSubspace
    inputs: tuple[NamedSubspace, ...]
    weights: Float[np.ndarray, "step input"]
    thresholds: Float[np.ndarray, " step"]
    width: Float[np.ndarray, " step"]
    read_out: Float[np.ndarray, "out step"]
    base: Float[np.ndarray, " out"]


Operation = Attend | Steps
Score = Callable[[int, int], float]


@dataclass(eq=False)
class Program:
    """Operations on variables, with the prompts that they are for.

    Attributes:
        letters: tokens 1 to `letters` may follow the start token in a prompt.
        length: tokens of a prompt, the start token included.
        draw: draws one prompt of the distribution, without the start token.
        answer: the right answer to a prompt, computed in plain Python: the reference for the model.
        accepts: whether a prompt belongs to the distribution.
    """

    name: str
    letters: int
    length: int
    draw: Callable[[np.random.Generator], list[int]] = field(repr=False)
    answer: Callable[[Sequence[int]], int] = field(repr=False)
    accepts: Callable[[Sequence[int]], bool] = field(default=lambda _: True, repr=False)
    operations: list[Operation] = field(default_factory=list[Operation], repr=False)
    result: NamedSubspace | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.token = NamedSubspace("token", self.letters + 1, False)
        self.position = NamedSubspace("position", self.length, True)
        self.start = NamedSubspace("start", 1, True)
        self.one = NamedSubspace("one", 1, True)

    @property
    def inputs(self) -> tuple[NamedSubspace, ...]:
        """What the embeddings write."""
        return (self.token, self.position, self.start, self.one)

    @property
    def first_answer(self) -> int:
        """The token of the result's index 0; the vocabulary is the start token, the letters, then the answers."""
        return self.letters + 1

    def attend(
        self,
        name: str,
        value: NamedSubspace,
        *scores: tuple[NamedSubspace, NamedSubspace, Score],
        rest: float | None = 0.5,
    ) -> NamedSubspace:
        """A head that copies `value`; it rests on the start token where no score is above `rest` (None: never)."""
        terms = [ScoreTable(q, k, _table(q, k, score)) for q, k, score in scores]
        if rest is not None:
            terms.append(ScoreTable(self.one, self.start, np.array([[rest]])))
        fixed = value.fixed and all(term.query.fixed and term.key.fixed for term in terms)
        out = NamedSubspace(name, value.size, fixed)
        self.operations.append(Attend(out, tuple(terms), value))
        return out

    def lookup(
        self, name: str, size: int, inputs: Sequence[NamedSubspace], function: Callable[..., int]
    ) -> NamedSubspace:
        """Any function of one-hot variables, as a one-hot variable: one step for each combination."""
        combinations = list(product(*(range(variable.size) for variable in inputs)))
        weights = np.array([_one_hots(values, inputs) for values in combinations])
        results = [function(*values) for values in combinations]
        n = len(combinations)
        read_out = np.eye(size)[:, results]
        return self.steps(
            name, inputs, weights, np.full(n, len(inputs) - 0.5), np.full(n, 0.5), read_out
        )

    def bins(
        self, name: str, number: NamedSubspace, row: Sequence[float], bounds: Sequence[float]
    ) -> NamedSubspace:
        """Which interval a linear reading of a variable falls into, as a one-hot variable; `bounds` ascend."""
        n, marks = len(bounds), np.asarray(bounds)
        gap = float(np.diff(marks).min()) if n > 1 else abs(float(marks[0])) or 1.0
        read_out = np.eye(n + 1, n, -1) - np.eye(n + 1, n)
        weights = np.tile(np.asarray(row, dtype=float), (n, 1))
        return self.steps(
            name, [number], weights, marks, np.full(n, gap / 2), read_out, np.eye(n + 1)[0]
        )

    def steps(
        self,
        name: str,
        inputs: Sequence[NamedSubspace],
        weights: Float[np.ndarray, "step input"],
        thresholds: Float[np.ndarray, " step"],
        width: Float[np.ndarray, " step"],
        read_out: Float[np.ndarray, "out step"],
        base: Float[np.ndarray, " out"] | None = None,
    ) -> NamedSubspace:
        """Thresholds of linear readings, and a linear map of them."""
        out = NamedSubspace(name, len(read_out), all(variable.fixed for variable in inputs))
        base = np.zeros(len(read_out)) if base is None else base
        self.operations.append(
            Steps(out, tuple(inputs), weights, thresholds, width, read_out, base)
        )
        return out

    def says(self, result: NamedSubspace) -> Program:
        """The answer is this one-hot variable, read at the last position."""
        self.result = result
        return self

    def prompts(self, n: int, rng: np.random.Generator) -> Int[np.ndarray, "prompt length"]:
        """Prompts of the distribution, with their start token."""
        return np.array([[START, *self.draw(rng)] for _ in range(n)])


def _table(
    query: NamedSubspace, key: NamedSubspace, score: Score
) -> Float[np.ndarray, "query key"]:
    return np.array([[float(score(q, k)) for k in range(key.size)] for q in range(query.size)])


def _one_hots(
    values: Sequence[int], inputs: Sequence[NamedSubspace]
) -> Float[np.ndarray, " input"]:
    return np.concatenate(
        [np.eye(variable.size)[value] for value, variable in zip(values, inputs, strict=True)]
    )
