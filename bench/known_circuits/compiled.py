"""What a compiled program is: a model, and which of its edges are true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from ...tools.circuits.circuit_model import CircuitModel
from .layout import Placement
from .program import Program


class Difficulty(NamedTuple):
    """How much stands beside the program."""

    heads: int
    neurons: int
    noise: float


DIFFICULTIES: dict[str, Difficulty] = {
    "easy": Difficulty(heads=0, neurons=0, noise=0.0),
    "medium": Difficulty(heads=5, neurons=8, noise=0.05),
    "hard": Difficulty(heads=12, neurons=16, noise=0.10),
}
"""Distractor heads in all, distractor neurons a layer, and the share of all edges that carry noise."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled program and its truth.

    Attributes:
        plain: the same without noise.
        truth: the true edges; `noisy`: those that carry noise.
        loudness: how much of a source a noise edge reads, the program's own readings being about 1.
    """

    program: Program
    difficulty: str
    seed: int
    model: CircuitModel
    placement: Placement
    plain: CircuitModel
    truth: Bool[Tensor, "source target"]
    noisy: Bool[Tensor, "source target"]
    loudness: float

    @property
    def name(self) -> str:
        """`induction/hard/0`."""
        return f"{self.program.name}/{self.difficulty}/{self.seed}"

    def says(self, ids: Any) -> list[int]:
        """What the model answers, as indices of the program's result; -1 where it says another token."""
        with torch.inference_mode():
            best = self.model.logits(torch.as_tensor(ids)).argmax(-1) - self.program.first_answer
        return [int(index) if index >= 0 else -1 for index in best]
