"""A compiled program: a model, and which of its edges are true."""

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
    """How much is added to the program.

    Attributes:
        heads: distractor heads in all.
        neurons: distractor neurons per layer.
        noise: share of all edges that carry noise.
    """

    heads: int
    neurons: int
    noise: float


DIFFICULTIES: dict[str, Difficulty] = {
    "easy": Difficulty(heads=0, neurons=0, noise=0.0),
    "medium": Difficulty(heads=5, neurons=8, noise=0.05),
    "hard": Difficulty(heads=12, neurons=16, noise=0.10),
}


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled program and its truth.

    Attributes:
        plain: the same model without noise.
        truth: the true edges.
        noisy: the edges that carry noise.
        loudness: how much of a source a noise edge reads; the program's own readings are about 1.
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
        """The model's answers as indices of the program's result; -1 for another token."""
        with torch.inference_mode():
            best = self.model.logits(torch.as_tensor(ids)).argmax(-1) - self.program.first_answer
        return [int(index) if index >= 0 else -1 for index in best]
