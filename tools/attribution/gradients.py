"""Input gradients: the slope of the scalar at the prompt's own embeddings.

    gradient            length of the gradient at each token (Simonyan et al. 2013)
    gradient_x_input    gradient . (embedding - baseline): the change to first order on the way to the baseline

Both look at one point and see nothing of what saturates on the way; neither need add up to the
scalar's change.
"""

from __future__ import annotations

from ..circuits.circuit_model import at_least_float32
from .result import TokenAttribution, relative
from .target import AttributionTarget


def gradient(case: AttributionTarget) -> TokenAttribution:
    """The gradient's length at each token: how sharply the scalar depends on it, without a sign."""
    slopes = case.slope()
    scores = at_least_float32(slopes.gradients[0]).norm(dim=-1)
    return TokenAttribution("gradient", scores.cpu().numpy(), float(slopes.values), "first_order")


def gradient_x_input(case: AttributionTarget) -> TokenAttribution:
    """Gradient times the embedding's distance from the baseline's; `error` says how far it is from adding up."""
    slopes = case.slope()
    scores = (slopes.gradients[0] * (case.embedding - case.baseline)).sum(-1)
    value, reference = float(slopes.values), float(case.values(case.baseline[None]))
    return TokenAttribution(
        "gradient_x_input",
        scores.cpu().numpy(),
        value,
        "first_order",
        reference,
        relative(abs(float(scores.sum()) - (value - reference)), value - reference),
        evaluations=2,
    )
