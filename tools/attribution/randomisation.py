"""Does an attribution depend on what the subject has learned? The parameter-randomisation test.

1. Re-draw layers from the last one down (cascading): each weight matrix becomes Gaussian noise of
   its own mean and standard deviation, each vector a permutation of itself. The subject is not
   changed: the noise replaces its weights in the passes of this test alone.
2. Run the same method on the same target at each depth.
3. Correlate (Spearman) the sizes of its credits with the original ones. A correlation that stays
   near 1 means that the attribution describes the prompt and not the model.

Adebayo et al. 2018, "Sanity checks for saliency maps".
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..subject.subject import Subject
from .methods import Method
from .result import TokenAttribution
from .target import AttributionTarget

DEPTHS = (0.25, 0.5, 1.0)
"""Shares of the layers that are re-drawn, counted from the last."""

FEWEST = 3
"""Fewest tokens that differ for a rank correlation to say anything."""


def randomisation(
    target: AttributionTarget,
    method: Method,
    attribution: TokenAttribution,
    depths: tuple[float, ...] = DEPTHS,
    seed: int = 0,
) -> dict[float, float] | None:
    """Rank correlation by depth; nan if all credits are equal, None if fewer than three tokens can have credit."""
    changeable = target.changeable.cpu().numpy()
    if len(changeable) < FEWEST:
        return None
    original = np.abs(attribution.scores[changeable])
    correlations: dict[float, float] = {}
    for depth in depths:
        redrawn = target.with_parameters(redrawn_layers(target.subject, depth, seed))
        sizes = np.abs(method(redrawn).scores[changeable])
        correlations[depth] = _rank_correlation(original, sizes)
    return correlations


def redrawn_layers(
    subject: Subject, depth: float, seed: int = 0
) -> dict[str, Float[Tensor, "*shape"]]:
    """Noise in place of the weights of the last layers, a share `depth` of all (at least one)."""
    n_layers = subject.shape.n_layers
    first = n_layers - max(1, round(depth * n_layers))
    prefixes = tuple(f"{subject.architecture.layers}.{layer}." for layer in range(first, n_layers))
    generator = torch.Generator().manual_seed(seed)
    named = subject.model.named_parameters()
    return {
        name: _redrawn(weight, generator) for name, weight in named if name.startswith(prefixes)
    }


def _redrawn(weight: Tensor, generator: torch.Generator) -> Tensor:
    if weight.ndim < 2:
        return weight[torch.randperm(len(weight), generator=generator).to(weight.device)]
    noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
    return (noise * weight.std().cpu() + weight.mean().cpu()).to(weight)


def _rank_correlation(left: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"]) -> float:
    from scipy.stats import rankdata

    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])
