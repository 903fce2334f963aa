"""The result of an attribution method, and whether it is evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Verdict = Literal["exact", "converged", "not_converged", "first_order"]
"""exact: measured. converged: credit adds up to the change of the scalar within the tolerance.
first_order: a slope at the prompt, which does not have to add up."""

TOLERANCE = 0.01
"""Largest error of an attribution that counts as evidence, as a share of what is to be explained."""


@dataclass(frozen=True, eq=False)
class TokenAttribution:
    """Credit by token.

    Attributes:
        scores: one a token, in units of the scalar (for `gradient`: the length of the slope).
        value: the scalar of the prompt; `reference`: of the baseline, where the method has one.
        error: how far credit is from what it should add up to, as a share of the latter; None where
            it need not add up. For integrated gradients the misses of the path's intervals are added
            without their signs, so that it is at least |total credit - change of the scalar|.
        evaluations: rows that went through the subject.
        absorbed: relevance that went to biases and position embeddings (relevance propagation only).
    """

    method: str
    scores: Float[np.ndarray, " seq"]
    value: float
    verdict: Verdict
    reference: float | None = None
    error: float | None = None
    evaluations: int = 1
    absorbed: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def is_evidence(self) -> bool:
        """Whether the scores may be shown as such."""
        return self.verdict != "not_converged"


def relative(error: float, whole: float) -> float:
    """An error as a share of what is explained; infinite where there is nothing to explain."""
    return error / abs(whole) if abs(whole) > 1e-9 else float("inf")
