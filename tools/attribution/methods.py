"""The attribution methods by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .gradients import gradient, gradient_x_input
from .integrated import integrated_gradients
from .names import MethodName
from .occlusion import occlusion
from .relevance import relevance
from .result import TokenAttribution
from .target import AttributionTarget

Method = Callable[[AttributionTarget], TokenAttribution]

METHODS: dict[MethodName, Method] = {
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "gradient_x_input": gradient_x_input,
    "gradient": gradient,
    "relevance": relevance,
}

RANKING: dict[MethodName, Method] = {
    **METHODS,
    "integrated_gradients": partial(integrated_gradients, max_evaluations=0),
}
"""The same if only the order of credits counts, as in a randomised subject: without refinement, at
about a third of the cost."""
