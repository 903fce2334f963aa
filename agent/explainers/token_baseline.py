"""The ten tokens with the largest weights: what a formula search has to beat, and the first explainer that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    def move(self, case: InvestigationView) -> Move:
        """The tokens of either sign whose mean activation says most."""
        from ...tools.dissection import ten_weighted_tokens

        if case.explore is None:
            return Move(cannot_explain="the activations on explore are not at hand")
        data = case.explore()
        predicate = ten_weighted_tokens(
            data.tokens, data.length, data.signal, data.mask, data.lexicon
        )
        if not predicate.terms:
            return Move(cannot_explain="no token stands out on explore")
        return Move(
            (Hypothesis("h1", predicate.sentence(data.lexicon), predicate.to_text(), "ten tokens"),)
        )


def make(config: RunConfig) -> TenTokens:
    """There is nothing to set."""
    del config
    return TenTokens()
