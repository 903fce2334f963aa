"""Which columns of measured effects are latents of which dictionary, and which are error nodes.

The same order as in `tools.circuits.latents.nodes`, known without loading a dictionary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ..measurements import Measured


class NodeLayout(NamedTuple):
    """Which columns are latents of which dictionary, and which are error nodes."""

    names: Sequence[str]
    latents: Sequence[int]

    @classmethod
    def of(cls, facts: Measured) -> NodeLayout:
        """From what was measured of the dictionaries."""
        return cls(facts["names"].tolist(), facts["latents"].tolist())

    @property
    def n_latents(self) -> int:
        """Of all dictionaries."""
        return sum(self.latents)

    @property
    def is_error(self) -> Bool[np.ndarray, " node"]:
        """Which nodes are error nodes."""
        mask = np.zeros(self.n_latents + len(self.names), dtype=bool)
        mask[np.cumsum([n + 1 for n in self.latents]) - 1] = True
        return mask

    def name(self, node: int) -> str:
        """`sae.NAME.4512`, or `error.NAME`."""
        for name, n in zip(self.names, self.latents, strict=True):
            if node <= n:
                return f"error.{name}" if node == n else f"sae.{name}.{node}"
            node -= n + 1
        raise IndexError(node)

    def strongest(self, effects: Float[np.ndarray, " node"], n: int) -> Bool[np.ndarray, " node"]:
        """The n latents with the largest |effect|, as a mask without error nodes."""
        size = np.where(self.is_error, -1.0, np.abs(effects))
        mask = np.zeros(len(size), dtype=bool)
        mask[np.argsort(-size, kind="stable")[:n]] = True
        return mask

    def drawn(
        self, circuit: Bool[np.ndarray, " node"], moved: Bool[np.ndarray, " node"], seed: int
    ) -> Bool[np.ndarray, " node"]:
        """As many random latents as a circuit has: others that differ between prompts and twins first."""
        rng = np.random.default_rng(seed)
        order = rng.random(len(circuit)) + 2.0 * circuit + 1.0 * ~moved + 8.0 * self.is_error
        mask = np.zeros(len(circuit), dtype=bool)
        mask[np.argsort(order, kind="stable")[: int(circuit.sum())]] = True
        return mask
