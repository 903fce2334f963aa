"""Input gradients: the slope of the scalar at the prompt's own embeddings.

    gradient            length of the gradient at each token (Simonyan et al. 2013)
    gradient_x_input    gradient . (embedding - baseline): the change to first order on the way to the baseline

Both look at a single point and miss what saturates on the way. Neither has to add up to the scalar's
change.
"""

from __future__ import annotations

from ..circuits.circuit_model import at_least_float32
from .result import TokenAttribution, relative
from .target import AttributionTarget


def gradient(target: AttributionTarget) -> TokenAttribution:
    """The gradient's length at each token: how sharply the scalar depends on it, unsigned."""
    slopes = target.slope()
    scores = at_least_float32(slopes.gradients[0]).norm(dim=-1)
    return TokenAttribution("gradient", scores.cpu().numpy(), float(slopes.values), "first_order")


def gradient_x_input(target: AttributionTarget) -> TokenAttribution:
    """Gradient times the embedding's difference from the baseline's; `error`: how far it is from adding up."""
    slopes = target.slope()
    scores = (slopes.gradients[0] * (target.embedding - target.baseline)).sum(-1)
    value, reference = float(slopes.values), float(target.values(target.baseline[None]))
    return TokenAttribution(
        "gradient_x_input",
        scores.cpu().numpy(),
        value,
        "first_order",
        reference,
        relative(abs(float(scores.sum()) - (value - reference)), value - reference),
        evaluations=2,
    )
