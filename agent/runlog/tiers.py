"""The tiers of an explanation as they are shown, the best first."""

from __future__ import annotations

TIERS = {
    "clear": "a few named concepts say what it responds to, and do better than a list of tokens",
    "composite": "several named concepts together do better than a list of tokens",
    "list": "no better than a list of tokens with weights",
    "diffuse": "nothing short predicts it well",
}
"""What each means in a line; the exact rule is in docs/contract.md."""
