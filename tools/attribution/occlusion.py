"""Occlusion: the scalar's change when one token is replaced by the baseline's. Measured, not
estimated.

A token whose work another can take over gets no credit (both of two names that say the same), and
what two tokens do only together is credited to each, so that the credits need not add up to the
whole change.
"""

from __future__ import annotations

import torch

from .result import TokenAttribution
from .target import AttributionTarget


def occlusion(case: AttributionTarget) -> TokenAttribution:
    """f(prompt) - f(prompt with the token replaced); 0 where prompt and baseline agree."""
    at = case.changeable
    kept = torch.ones(len(at) + 1, len(case.ids), dtype=torch.bool)
    kept[torch.arange(len(at)), at.cpu()] = False
    values = case.values(case.mixed(kept))
    scores = values.new_zeros(len(case.ids))
    scores[at] = values[-1] - values[:-1]
    return TokenAttribution(
        "occlusion", scores.cpu().numpy(), float(values[-1]), "exact", evaluations=len(values)
    )
