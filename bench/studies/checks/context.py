"""Context: a model without attention uses none of it, exactly; a planted use is found."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.context import conclude, late_losses
from ..registry import known_answer, null

DOCUMENTS, POSITIONS = 24, 12


def _losses(seed: int, gain: float) -> np.ndarray:
    """Own, truncated and replaced; documents differ more than the three ways do."""
    rng = np.random.default_rng(seed)
    document = rng.exponential(2.0, (DOCUMENTS, 1))
    losses = 2 + document + rng.normal(0, 0.5, (3, DOCUMENTS, POSITIONS))
    losses[0] -= gain
    return losses


@known_answer(
    "context",
    "a model without attention has the same losses to the last bit whatever came early, and half a "
    "nat that is planted is found",
)
def no_attention(seed: int) -> bool:
    import torch

    from ...tiny_subject import miniature

    subject = miniature(seed)
    rng = np.random.default_rng(seed)
    early, other, late = torch.from_numpy(rng.integers(1, subject.n_vocabulary, (3, 8, 10)))
    with_attention = [late_losses(subject, before, late) for before in (early, other)]
    with torch.no_grad():
        for layer in subject.parts.layers:
            layer.attention_out.weight.zero_()  # pyright: ignore[reportCallIssue]
    without = [late_losses(subject, before, late) for before in (early, other)]
    reads = not np.allclose(with_attention[0], with_attention[1])
    result = conclude(_losses(seed, gain=0.5), seed)
    found = all(claim.verdict == "supported" for claim in result.claims)
    return reads and bool(np.array_equal(without[0], without[1])) and found


@null("context", "losses that do not depend on the early context")
def no_use(seed: int) -> StudyResult:
    return conclude(_losses(seed, gain=0.0), seed)
