"""The ten tokens with the largest weights: the baseline that a formula search has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...tools.dissection import ten_weighted_tokens
from .protocol import Hypothesis, InvestigationView, Move

if TYPE_CHECKING:
    from ..runlog.config import RunConfig


class TenTokens:
    """Proposes one hypothesis and plans no experiment."""

    name = "ten-tokens"
    version = "1"
    revises = False
    converses = False
    moves_a_round = 4

    def move(self, view: InvestigationView) -> Move:
        """The tokens whose mean activation, of either sign, predicts most."""
        data = view.explore()
        predicate = ten_weighted_tokens(
            data.tokens, data.length, data.signal, data.mask, data.lexicon
        )
        if not predicate.terms:
            return Move(cannot_explain="no token stands out on explore")
        return Move(
            (
                Hypothesis(
                    "h1",
                    predicate.sentence(view.unit.stated_side),
                    predicate.to_text(),
                    "ten tokens",
                ),
            )
        )


def make(config: RunConfig) -> TenTokens:
    """There are no settings."""
    del config
    return TenTokens()
