"""The loop of a training, which goes on after a kill where its checkpoint is.

1. Read the first chunk of vectors. From it follow the length beyond which vectors are left out, the
   scales, the variance, and the first weights.
2. Take steps on batches of shuffled vectors, chunk after chunk and epoch after epoch. What is left of
   a chunk and smaller than a batch is skipped.
3. Now and then write a checkpoint: tensors, Adam's averages, and the place in the text. On one thread
   a training that was killed anywhere ends in the same dictionary, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from ...errors import UsageError
from ..dictionary import Dictionary
from .checkpoint import SavedState, TrainingFolder
from .optimiser import Optimiser
from .parameters import Parameters, Scales, as_dictionary, initial_parameters, scale_of
from .settings import TrainSettings
from .vectors import VectorPair, Vectors

COST_RATIO, MIN_SECONDS = 200, 30.0
"""A checkpoint is due after so many times the seconds that the last one took, and after so many."""
SAMPLE = 1 << 15
"""Vectors from which scales, variance and biases are estimated."""
FORGET = 0.99
"""Of the running mean of the unexplained variance: about the last hundred steps."""


@dataclass(frozen=True)
class TrainProgress:
    """How far a training is."""

    done: int
    total: int
    unexplained: float
    dead: int
    step: str = "train"
    unit: str = "tokens"

    @property
    def note(self) -> str:
        """For a progress line."""
        return f"{1 - self.unexplained:.1%} of the variance explained, {self.dead} latents dead"


class Trained(NamedTuple):
    """A finished training.

    Attributes:
        dead: latents that were silent for `TrainSettings.silence` tokens at the end.
        left_out: share of the first chunk's vectors that were far longer than the others.
    """

    dictionary: Dictionary
    dead: int
    left_out: float


UNSCALED = Scales(1.0, 1.0)


class _Position(NamedTuple):
    """Where the next batch is."""

    epoch: int = 0
    chunk: int = 0
    row: int = 0


@dataclass
class Training:
    """A training in a folder.

    Attributes:
        report: called after each step.
        checkpoint_every: steps between two checkpoints; None means by the clock.
    """

    vectors: Vectors
    folder: TrainingFolder
    report: Callable[[TrainProgress], None] = lambda progress: None
    checkpoint_every: int | None = None
    _scales: Scales = UNSCALED
    _left_out: float = 0.0
    _unexplained: float = 1.0
    _saved_at: float = field(default_factory=time.monotonic)
    _cost: float = 0.0

    @property
    def settings(self) -> TrainSettings:
        """What is trained."""
        return self.vectors.settings

    @torch.no_grad()
    def run(self, name: str) -> Trained:
        """Train what is left, and return the dictionary."""
        saved = self.folder.load()
        optimiser = self._begin() if saved is None else self._resume(saved)
        position = _Position(*saved.state["position"]) if saved else _Position()
        batches = self._batches(position)
        while optimiser.step < self.settings.steps:
            after, (inputs, targets) = next(batches)
            scaled = None if targets is None else targets / self._scales.writes
            loss = optimiser.take(inputs / self._scales.reads, scaled)
            weight = min(FORGET, optimiser.step / (optimiser.step + 1))
            self._unexplained = weight * self._unexplained + (1 - weight) * loss.unexplained
            if self._is_due(optimiser.step):
                self._save(optimiser, after)
            self._report(optimiser)
        model = self.vectors.subject.name
        p = optimiser.parameters
        dictionary = as_dictionary(name, self.settings, p, self._scales, model)
        return Trained(dictionary, int(optimiser.dead.sum()), self._left_out)

    def _begin(self) -> Optimiser:
        chunk = self.vectors.chunk(0, 0)
        assert chunk is not None  # there is text
        self.vectors.set_limits(chunk.pair)
        chunk = self.vectors.chunk(0, 0)
        assert chunk is not None
        first = chunk.shuffled(stop=SAMPLE)
        self._left_out = chunk.left_out
        self._scales = Scales(scale_of(first.inputs), scale_of(first.written))
        inputs, targets = first.inputs / self._scales.reads, first.written / self._scales.writes
        variance = float((targets - targets.mean(dim=0)).square().sum(dim=1).mean())
        if not 0 < variance < float("inf"):
            raise UsageError(
                f"the vectors at {self.settings.writes} do not vary over the text to train on; "
                "give more text, or another place"
            )
        return Optimiser(
            self.settings, initial_parameters(self.settings, inputs, targets), variance
        )

    def _resume(self, saved: SavedState) -> Optimiser:
        state = saved.state
        self.vectors.limits = (state["limits"][0], state["limits"][1])
        self._scales, self._left_out = Scales(*state["scales"]), state["left_out"]
        self._unexplained = state["unexplained"]
        device = self.vectors.subject.device
        own = {name: saved.tensors[name].to(device) for name in Parameters.__annotations__}
        optimiser = Optimiser(self.settings, Parameters(**own), state["variance"])
        optimiser.restore(saved.step, saved.tensors)
        return optimiser

    def _batches(self, start: _Position) -> Iterator[tuple[_Position, VectorPair]]:
        """Batches from a position on, each with the position after it; without end."""
        epoch, number, row = start
        while True:
            chunk = self.vectors.chunk(epoch, number)
            if chunk is None:
                epoch, number = epoch + 1, 0
                continue
            n, size = len(chunk.rows), self.settings.batch
            while row + size <= n or (row == 0 and n):
                batch = chunk.shuffled(row, row + size)
                row += size
                yield _Position(epoch, number, row), batch
            number, row = number + 1, 0

    def _is_due(self, step: int) -> bool:
        if step == self.settings.steps:  # measuring may be stopped too
            return True
        if self.checkpoint_every is not None:
            return step % self.checkpoint_every == 0
        return time.monotonic() - self._saved_at > max(MIN_SECONDS, COST_RATIO * self._cost)

    def _save(self, optimiser: Optimiser, position: _Position) -> None:
        start = time.monotonic()
        state: Mapping[str, Any] = {
            "position": position,
            "limits": self.vectors.limits,
            "scales": self._scales,
            "variance": optimiser.variance,
            "left_out": self._left_out,
            "unexplained": self._unexplained,
        }
        self.folder.save(optimiser.step, state, optimiser.state())
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - start

    def _report(self, optimiser: Optimiser) -> None:
        total = self.settings.steps * self.settings.batch
        done, dead = optimiser.step * self.settings.batch, int(optimiser.dead.sum())
        self.report(TrainProgress(done, total, self._unexplained, dead))
