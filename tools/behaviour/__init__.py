"""Behaviour: what can be asked of a subject's outputs alone, without looking inside."""

from __future__ import annotations

from .sequence_probability import (
    ScoredTexts,
    TokenLogProbs,
    continuation_probabilities,
    next_token_log_probs,
    start_token,
    text_probabilities,
)

__all__ = [
    "ScoredTexts",
    "TokenLogProbs",
    "continuation_probabilities",
    "next_token_log_probs",
    "start_token",
    "text_probabilities",
]
