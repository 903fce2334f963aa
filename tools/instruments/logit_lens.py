"""Logit lens of what a unit writes into the residual stream.

1. Take the direction that the unit adds to the stream when its activation is 1 (its column of the
   down projection).
2. Multiply by the final norm's weight (and subtract the mean first, where that norm does), but do
   not divide by the stream's length, which depends on the text; then unembed: what it adds to each
   logit, up to that length, if nothing in between changes it.
3. Subtract the mean over the vocabulary, which no probability depends on.

A positive activation promotes the tokens at the top and suppresses those at the bottom; a negative
one does the reverse. What an early layer writes is changed by later layers before it is read, so
the list is only a hint there.

nostalgebraist, "interpreting GPT: the logit lens" (2020); Geva et al., "Transformer Feed-Forward
Layers Build Predictions by Promoting Concepts in the Vocabulary Space" (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..subject.address import Unit
from .registry import InstrumentContext, Result, UnitAddress, instrument, rounded
from .rendering import format_token_values


@dataclass(frozen=True)
class TokenWeights:
    """Tokens and what an activation of one adds to their logits, the strongest first."""

    ids: list[int]
    tokens: list[str]
    logits: list[float]


@dataclass(frozen=True)
class LogitLens(Result):
    """Tokens that a unit's write promotes and suppresses, for the given side.

    Attributes:
        spread: standard deviation of the added logits over the vocabulary, the scale of the listed
            ones.
    """

    unit: str
    promoted: TokenWeights
    suppressed: TokenWeights
    spread: float

    def render(self) -> str:
        return (
            f"{self.unit} firing promotes {format_token_values(self.promoted.tokens, self.promoted.logits)}\n"
            f"and suppresses {format_token_values(self.suppressed.tokens, self.suppressed.logits)}\n"
            f"(logits added by an activation of one; spread over the vocabulary {self.spread:.3g})"
        )


@instrument("logit_lens", needs=("subject",))
def logit_lens(
    context: InstrumentContext, unit: UnitAddress, k: Annotated[int, Field(ge=1, le=100)] = 10
) -> LogitLens:
    """Show which next tokens a unit makes more and less likely by what it writes.

    What a neuron or direction writes is multiplied by the final norm's weight, unembedded, and
    centred over the vocabulary; the norm's division by the stream's length is left out. With a side
    (mlp.12.803-) the answer is for firing on that side; without one it is for a positive activation,
    and a negative one does the reverse. Says what the unit does, not what makes it fire. Not for
    heads.
    """

    address = Unit.parse(unit)
    subject = context.require_subject()
    added = subject.logits_of(subject.write_direction(address.unsided)).float()
    added = added - added.mean()
    if address.side == "-":
        added = -added
    strings = subject.token_strings()
    ranked = added.argsort(descending=True, stable=True).tolist()
    ranked = [i for i in ranked if strings[i]]  # some ids have no token

    def weights(ids: list[int]) -> TokenWeights:
        return TokenWeights(ids, [strings[i] for i in ids], rounded(added[ids].tolist()))

    (spread,) = rounded([float(added.std(correction=0))])
    return LogitLens(str(address), weights(ranked[:k]), weights(ranked[::-1][:k]), spread)
