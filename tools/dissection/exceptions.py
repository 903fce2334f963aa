"""Which terms of a formula only correct others: "extremely *plan-*" to cancel *pla-*.

1. A term lies inside a larger one of the other sign if that holds at three quarters of its positions.
2. It is an exception of the one whose weight times overlap is largest, if the terms of the other sign
   leave at most a quarter of its own weight standing there: a term that outweighs them says something
   of its own.
3. It comes right after that term, so that the sentence says both together; the prediction is the
   same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .predicate import WeightedConcept

if TYPE_CHECKING:
    from jaxtyping import Float

INSIDE = 0.75
"""Share of a term's positions at which what it corrects must hold. Concepts of one word in several
pieces, or of a lemma, miss some positions of a true exception."""
STANDING = 0.25
"""Share of an exception's weight that may stand against the terms that it corrects."""


def mark_exceptions(
    terms: Sequence[WeightedConcept], columns: Sequence[Float[np.ndarray, "positions"]]
) -> tuple[WeightedConcept, ...]:
    """The terms, each exception marked and right after the term that it corrects.

    Args:
        columns: 1 where a term's concept holds, else 0.
    """
    if not terms:
        return ()
    held = np.stack(columns)
    sizes = held.sum(axis=1)
    overlap = held @ held.T / np.maximum(sizes, 1)[:, None]  # share of row's positions
    weights = np.array([term.weight for term in terms], dtype=np.float64)
    opposite = weights[:, None] * weights < 0
    corrected = (overlap * np.abs(weights) * opposite).sum(axis=1)
    hosts = opposite & (overlap >= INSIDE) & (sizes > sizes[:, None])
    # Only what decides words by a rule is a claim; exact tokens are listed apart.
    named = np.array([not term.concept.names_tokens() for term in terms])
    hosts &= named & named[:, None]
    hosts &= (np.abs(weights) - corrected <= STANDING * np.abs(weights))[:, None]
    host_of: dict[int, int] = {}
    for place in np.argsort(-sizes, kind="stable").tolist():  # a host is never an exception itself
        candidates = [host for host in np.flatnonzero(hosts[place]).tolist() if host not in host_of]
        if candidates:
            pull = overlap[place] * np.abs(weights)
            host_of[place] = max(candidates, key=lambda host: pull[host])
    ordered: list[WeightedConcept] = []
    for place, term in enumerate(terms):
        if place not in host_of:
            ordered.append(term)
            own = [exception for exception in range(len(terms)) if host_of.get(exception) == place]
            ordered += [replace(terms[exception], is_exception=True) for exception in own]
    return tuple(ordered)
