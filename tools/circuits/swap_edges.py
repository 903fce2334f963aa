"""Improve a circuit in its own state: swap edges by what they do while the rest of the circuit stays as
it is.

A ranking is made in states between the whole model and its twin, in which every edge is half there.
In a circuit few edges are there, so that other edges are its best. A round:

1. Run the circuit and note for each pair what is missing: r = m(model) - m(circuit).
2. Estimate for every edge how moving it changes the metric, x. For a missing edge: by integrated
   gradients from the circuit's state to the whole model's, since an edge whose neighbours are
   missing too shows only on that way. For an edge of the circuit: by the derivative in the circuit's
   state.
3. Matching pursuit (Mallat & Zhang 1993): put in the edge and take out the edge of the largest gain,
   the mean over pairs of r x - x^2 / 2, which is how much nearer the circuit comes to the model,
   pair by pair. Subtract what they do from r, and repeat until a swap gains nothing or a share of
   the circuit is swapped. An edge that overshoots gains nothing; removing one that works against
   the answer can.
4. Grow a circuit of the same size again in which the chosen edges come first, so that every edge
   leads to the logits.

The effects of many moves do not add up, so a round is an estimate too: keep the circuit that a run
shows to be nearest to the model.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .circuit_model import CircuitModel
from .edge_integrated_gradients import derivatives, integrate_edges
from .graph import Graph, Mask
from .prompts import PromptPairs

STEPS = 2
"""Passes between the circuit's state and the whole model's: on the default subject they add up to
the difference of the two within 4 % (IOI)."""
SWAPPED = 0.25
"""Share of the circuit's edges that a round may swap."""


def move_effects(
    model: CircuitModel, pairs: PromptPairs, mask: Mask, steps: int = STEPS
) -> Float[Tensor, "pairs source target"]:
    """Estimated change of the metric when an edge is put into the circuit, or taken out where it is in."""
    cut = (model.graph.all_edges & ~mask).to(torch.get_default_dtype())
    put_in = integrate_edges(model, pairs, cut, torch.zeros_like(cut), steps)
    return torch.where(mask, derivatives(model, pairs, cut), put_in)


def matching_pursuit_swap(
    graph: Graph,
    mask: Mask,
    missing: Float[Tensor, " pairs"],
    changes: Float[Tensor, "pairs source target"],
    share: float = SWAPPED,
) -> Mask:
    """The circuit's edges after swapping at most `share` of them; not all need to lead to the logits.

    Args:
        missing: what the circuit's metric lacks of the model's.
    """
    moved = changes.flatten(1).to(missing.dtype)  # pairs edge
    cost = moved.square().mean(0) / 2
    chosen = mask.flatten().clone()
    outside, inside = (graph.all_edges & ~mask).flatten(), mask.flatten().clone()
    for _ in range(max(1, round(share * int(mask.sum())))):
        residual, total_gain, moves = missing, 0.0, list[int]()
        for candidates in (outside, inside):
            gain = torch.where(candidates, residual @ moved / len(residual) - cost, -torch.inf)
            best = int(gain.argmax())
            total_gain += float(gain[best])
            moves.append(best)
            residual = residual - moved[:, best]
        if not total_gain > 0:  # nothing left to swap gives -inf or nan
            break
        for best, candidates in zip(moves, (outside, inside), strict=True):
            chosen[best] = ~chosen[best]
            candidates[best] = False
        missing = residual
    return chosen.view_as(mask)


def rerank(
    graph: Graph,
    mask: Mask,
    missing: Float[Tensor, " pairs"],
    changes: Float[Tensor, "pairs source target"],
    scores: Float[Tensor, "source target"],
) -> Float[Tensor, "source target"]:
    """Scores from which `top_edges` grows the next circuit: the chosen edges first, the others as before."""
    chosen = matching_pursuit_swap(graph, mask, missing, changes)
    size = torch.where(chosen & ~mask, changes.mean(0).abs(), scores.abs())
    return (size + chosen * size.max()) * graph.all_edges
