"""The tiers of an explanation as they are shown, the best first, with what each means in a line."""

from __future__ import annotations

from ...evals.tier import Tier

TIERS: dict[Tier, str] = {
    "clear": "its headline alone predicts, and holds at the strongest tokens",
    "composite": "better than 24 listed tokens, but its headline alone does not tell what it is about",
    "list": "24 listed tokens with weights do as well",
    "diffuse": "predicts too little, or no more than chance would",
}
"""The exact rule is in `evals.tier`."""
