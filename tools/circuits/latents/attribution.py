"""Effects of ablating latents and error nodes: all at once by integrated gradients, single ones exactly.

    effect of ablating node i = m(i ablated) - m(clean run); negative: the node helps the clean answer

1. At the place that a dictionary writes, the vector moves in equal steps from the clean run's to what
   it is with all nodes ablated. The gradient of the metric is taken at the middle of each step and
   averaged; with one step it is the gradient of the clean run (attribution patching).
2. The effect of a latent is the sum over positions of (ablated activation - clean activation) times
   the product of its decoder row with that gradient; of the error, of the change of the error with it.
3. The effects of all nodes of a dictionary add up to the effect of ablating all of them together
   (Sundararajan et al. 2017), as far as the steps are small enough. So the error node's share of the
   sum is what the dictionary does not express.

Marks et al. 2024 (arXiv 2403.19647), with gradients of later places through earlier ones included.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...subject import Subject
from ...subject.address import Site
from ..hooks import temporary_hooks
from ..prompts import PromptPairs
from .ablated_runs import last_logits, run_latents, visit_site
from .nodes import LatentNodes, NodeValues

Gradient = Float[Tensor, "pairs seq d_out"]


def node_gradients(
    subject: Subject,
    nodes: LatentNodes,
    pairs: PromptPairs,
    clean: Sequence[NodeValues],
    ablated: Sequence[NodeValues],
    steps: int,
) -> list[Gradient]:
    """The metric's gradient at each dictionary's vector, averaged on the way to its ablated nodes."""
    gradients: list[Gradient] = []
    for dictionary, own, other in zip(nodes.dictionaries, clean, ablated, strict=True):
        change = (other.latents - own.latents) @ dictionary.decoder + other.error - own.error
        shares = [0.0] if steps == 1 else [(step + 0.5) / steps for step in range(steps)]
        at_each = [_gradient(subject, dictionary.writes, pairs, change, share) for share in shares]
        gradients.append(sum(at_each[1:], start=at_each[0]) / steps)
    return gradients


def node_effects(
    nodes: LatentNodes,
    clean: Sequence[NodeValues],
    ablated: Sequence[NodeValues],
    gradients: Sequence[Gradient],
) -> Float[Tensor, "pairs node"]:
    """Estimated effects of ablating each node alone.

    Args:
        gradients: of `node_gradients`. They depend on where a dictionary writes and not on its
            latents (unless it normalises or has a skip connection), so that they also serve another
            dictionary of the same place.
    """
    columns: list[Tensor] = []
    for dictionary, own, other, gradient in zip(
        nodes.dictionaries, clean, ablated, gradients, strict=True
    ):
        slopes = gradient @ dictionary.decoder.T
        columns.append(((other.latents - own.latents) * slopes).sum(1))
        columns.append(((other.error - own.error) * gradient).sum((1, 2))[:, None])
    return torch.cat(columns, dim=1)


def exact_effects(
    subject: Subject,
    nodes: LatentNodes,
    pairs: PromptPairs,
    ablated: Sequence[NodeValues],
    which: Sequence[int],
) -> Float[Tensor, "pairs some_nodes"]:
    """The effects of ablating some nodes, each in a run of its own."""
    everything = torch.ones(len(nodes), dtype=torch.bool)
    whole = run_latents(subject, nodes, pairs, everything, ablated)
    columns: list[Tensor] = []
    for node in which:
        kept = everything.index_fill(0, torch.tensor([node]), value=False)
        columns.append(run_latents(subject, nodes, pairs, kept, ablated) - whole)
    return torch.stack(columns, dim=1)


def _gradient(
    subject: Subject, site: Site, pairs: PromptPairs, change: Gradient, share: float
) -> Gradient:
    """The gradient of the pairs' summed metric at a place, a share of the way along a change."""
    points: list[Tensor] = []

    def move(value: Tensor) -> Tensor:
        point = (value + share * change.to(value.dtype)).detach().requires_grad_()
        points.append(point)
        return point

    with temporary_hooks() as hooks, torch.enable_grad():
        visit_site(subject, hooks, site, move)
        metric = pairs.logit_difference(last_logits(subject, pairs.clean)).sum()
        return torch.autograd.grad(metric, points)[0].float()
    raise AssertionError("nothing stops this pass")
