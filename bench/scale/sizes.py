"""Dimensions of the subjects that are measured."""

from __future__ import annotations

from typing import NamedTuple


class SubjectSize(NamedTuple):
    """A llama's dimensions; `mlp` is the number of neurons of a layer."""

    layers: int
    width: int
    mlp: int
    heads: int
    kv_heads: int

    @property
    def name(self) -> str:
        """Such as "30x576"."""
        return f"{self.layers}x{self.width}"

    @property
    def weights(self) -> int:
        """Weights in its matrices, without the embedding, which an index does not multiply with."""
        attention = self.width * self.width * (2 + 2 * self.kv_heads / self.heads)
        return round(self.layers * (attention + 3 * self.width * self.mlp))

    @property
    def units(self) -> int:
        """Neurons and heads."""
        return self.layers * (self.mlp + self.heads)


SIZES = (
    SubjectSize(6, 384, 1024, 6, 3),
    SubjectSize(12, 576, 1536, 9, 3),
    SubjectSize(30, 576, 1536, 9, 3),
    SubjectSize(12, 960, 2560, 15, 5),
    SubjectSize(24, 960, 2560, 15, 5),
)
"""10 to 236 million weights; the third has the dimensions of SmolLM2-135M, the last those of two
thirds of SmolLM2-360M. Smaller matrices than these do not keep a core busy."""
