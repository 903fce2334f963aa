"""Whether an explanation rests on how the text was cut into contexts and not on the text.

By a fixed rule, on explore alone, an explanation is marked if

- *place*: a term of its headline is, or has in it, a place in the context; or
- *start*: at least half of the 50 strongest tokens lie at the positions 1 and 2, where the context
  begins in the middle of a document and attention still rests on its first token. By chance 3 % do.

Of 200 neurons of SmolLM2-135M on Lee news (layers 1, 10, 20, 28) *start* marks 2, with shares of .98
and .80; the next have .42 and .20, all others at most .14. Of 80 heads it marks 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..tools.dissection.concepts.structure import Position
from ..tools.dissection.frozen_lexicon import with_parts

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ..tools.dissection import Predicate

STRONGEST, START, LEAST_SHARE = 50, 3, 0.5
"""Tokens looked at; the first position that is no start of a context; the share that is marked."""


def artefact(
    predicate: Predicate | None,
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
) -> str:
    """Why an explanation is marked, in a sentence; "" if it is not.

    Args:
        predicate: the explanation's formula, if it has one.
        signal: of the target on explore; where it is both-sided, strength is its absolute value.
        mask: the tokens that count.
    """
    terms = predicate.headline().terms if predicate is not None else ()
    for number, term in enumerate(terms):
        if any(isinstance(part, Position) for part in with_parts(term.concept)):
            which = "A concept of its headline" if number else "Its first concept"
            return (
                f"{which} ({term.concept.noun()}) is a place in the excerpt, "
                "and where excerpts begin was decided by cutting the text."
            )
    share = start_share(signal, mask)
    if share < LEAST_SHARE:
        return ""
    return (
        f"{share:.0%} of its {STRONGEST} strongest tokens are the second or third of an excerpt, "
        "where the text before was cut off."
    )


def start_share(
    signal: Float[np.ndarray, "contexts seq"], mask: Bool[np.ndarray, "contexts seq"]
) -> float:
    """The share of the strongest tokens that lie at the start of their context; ties count in order."""
    strength = np.where(mask, np.abs(signal), 0)
    strongest = np.argsort(-strength, axis=None, kind="stable")[:STRONGEST]
    strongest = strongest[strength.ravel()[strongest] > 0]
    if not len(strongest):
        return 0.0
    return float((strongest % signal.shape[1] < START).mean())
