"""Latents and error nodes: a vector of the model as a sum of what each node writes.

    x = sum over latents of (activation x decoder row) + rest + error

1. An autoencoder reconstructs the vector that it reads; a transcoder what comes out of an MLP.
2. `rest` is the dictionary's bias and, where it has them, its skip connection and the shift of its
   normalisation. It is no node: it is there whatever is ablated.
3. The error node is what the reconstruction misses, so that the sum is the model's own vector.
4. A node is a latent at all positions of a prompt, or the error of one dictionary at all positions.

Marks et al. 2024, "Sparse Feature Circuits" (arXiv 2403.19647).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...dictionaries.dictionary import Dictionary
from ...errors import UsageError

Kept = Bool[Tensor, " node"]
"""Which nodes carry the prompt; the others have an ablated value."""


class NodeValues(NamedTuple):
    """What the nodes of one dictionary hold on some prompts.

    Attributes:
        latents: activations, times the scale that an autoencoder's normalisation gives back.
        error: what the reconstruction misses.
    """

    latents: Float[Tensor, "pairs seq latent"]
    error: Float[Tensor, "pairs seq d_out"]

    def mean(self) -> NodeValues:
        """The mean over prompts at each position."""
        return NodeValues(*(value.mean(0, keepdim=True) for value in self))


@dataclass(frozen=True)
class LatentNodes:
    """The nodes of some dictionaries: the latents of each one, then its error.

    Raises:
        UsageError: two dictionaries write at one place, so that their sums would count it twice.
    """

    dictionaries: tuple[Dictionary, ...]

    def __post_init__(self) -> None:
        places = [dictionary.writes for dictionary in self.dictionaries]
        if not places:
            raise UsageError("a circuit of latents needs a dictionary: give --dictionary NAME=PATH")
        if twice := [place for place in places if places.count(place) > 1]:
            names = [d.name for d in self.dictionaries if d.writes == twice[0]]
            raise UsageError(
                f"the dictionaries {', '.join(names)} all reconstruct {twice[0]}; give one for each place"
            )

    def __len__(self) -> int:
        return sum(self.sizes)

    @cached_property
    def sizes(self) -> list[int]:
        """Nodes of each dictionary."""
        return [dictionary.n_latents + 1 for dictionary in self.dictionaries]

    @cached_property
    def is_error(self) -> Bool[Tensor, " node"]:
        """Which nodes are error nodes."""
        ends = torch.tensor(self.sizes).cumsum(0) - 1
        return torch.zeros(len(self), dtype=torch.bool).index_fill(0, ends, value=True)

    def split(self, kept: Float[Tensor, "... node"]) -> Sequence[Tensor]:
        """A row of nodes, by dictionary; the last one of each is its error."""
        return kept.split(self.sizes, dim=-1)

    def name(self, node: int) -> str:
        """`sae.NAME.4512`, or `error.NAME`."""
        for dictionary, size in zip(self.dictionaries, self.sizes, strict=True):
            if node < size:
                is_error = node == size - 1
                return f"error.{dictionary.name}" if is_error else f"sae.{dictionary.name}.{node}"
            node -= size
        raise IndexError(node)


class Parts(NamedTuple):
    """A vector taken apart: the nodes' values, and the part that is no node."""

    nodes: NodeValues
    rest: Float[Tensor, "pairs seq d_out"]


def take_apart(
    dictionary: Dictionary,
    inputs: Float[Tensor, "pairs seq d_in"],
    outputs: Float[Tensor, "pairs seq d_out"],
) -> Parts:
    """The parts of the vectors at the place that a dictionary writes.

    Args:
        inputs: the vectors at the place that it reads; the same for an autoencoder.
    """
    read = inputs.float()
    latents = dictionary.encode(read)
    rest = dictionary.decode(torch.zeros_like(latents), read)
    scale = None if dictionary.is_transcoder else dictionary.normalised(read)[1]
    if scale is not None:
        latents = latents * scale.factor
    error = outputs.float() - (latents @ dictionary.decoder + rest)
    return Parts(NodeValues(latents, error), rest)


def put_together(
    dictionary: Dictionary, parts: Parts, kept: Kept, ablated: NodeValues
) -> Float[Tensor, "pairs seq d_out"]:
    """The sum of what the nodes write, with ablated values for those that are not kept."""
    latents = torch.where(kept[:-1], parts.nodes.latents, ablated.latents)
    error = parts.nodes.error if kept[-1] else ablated.error
    return latents @ dictionary.decoder + parts.rest + error
