"""Occlusion: the scalar's change when one token is replaced by the baseline's. Measured, not
estimated.

A token that another can stand in for gets no credit (neither of two equal names does), and what two
tokens do only together is credited to each. So credits need not add up to the whole change.
"""

from __future__ import annotations

import torch

from .result import TokenAttribution
from .target import AttributionTarget


def occlusion(target: AttributionTarget) -> TokenAttribution:
    """f(prompt) - f(prompt with the token replaced); 0 where prompt and baseline agree."""
    at = target.changeable
    kept = torch.ones(len(at) + 1, len(target.ids), dtype=torch.bool)
    kept[torch.arange(len(at)), at.cpu()] = False
    values = target.values(target.mixed(kept))
    scores = values.new_zeros(len(target.ids))
    scores[at] = values[-1] - values[:-1]
    return TokenAttribution(
        "occlusion", scores.cpu().numpy(), float(values[-1]), "exact", evaluations=len(values)
    )
