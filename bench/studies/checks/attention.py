"""Attention: uniform attention has entropy log t, and a planted previous-token head is named."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.attention import conclude
from ....tools.representation.head_summaries import summarise, uniform_pattern, uniform_summaries
from ..registry import known_answer, null

DOCUMENTS, LAYERS, HEADS, TOKENS = 16, 4, 3, 24


def _random_patterns(seed: int) -> np.ndarray:
    """Attention that knows nothing of places: a softmax of noise over the keys that a query sees."""
    noise = np.random.default_rng(seed).normal(size=(DOCUMENTS, LAYERS, HEADS, TOKENS, TOKENS))
    weights = np.exp(noise) * np.tril(np.ones((TOKENS, TOKENS)))
    return weights / weights.sum(-1, keepdims=True)


def _concluded(patterns: np.ndarray) -> StudyResult:
    summaries = summarise(patterns, bidirectional=False)
    return conclude(summaries, uniform_summaries(TOKENS, bidirectional=False))


@known_answer("attention", "the entropy of uniform attention over t tokens is log t")
def uniform_entropy(seed: int) -> bool:
    tokens = 5 + seed
    encoder = uniform_summaries(tokens, bidirectional=True)
    decoder = summarise(uniform_pattern(tokens, bidirectional=False), bidirectional=False)
    expected = np.mean([np.log(seen) for seen in range(2, tokens + 1)])
    return bool(
        np.isclose(encoder["entropy"], np.log(tokens))
        and np.isclose(encoder["sink"], 2 / tokens)
        and np.isclose(decoder["entropy"], expected)
        and np.isclose(decoder["spread"], 1)
    )


@known_answer("attention", "a planted previous-token head is named and has score 1")
def planted_head(seed: int) -> bool:
    patterns = _random_patterns(seed)
    patterns[:, 2, 1] = np.eye(TOKENS, k=-1)
    patterns[:, 2, 1, 0, 0] = 1
    result = _concluded(patterns)
    claim = result.claims[1]
    (row,) = (row for row in result.rows if (row["layer"], row["head"]) == (2, 1))
    others = [r["previous"] for r in result.rows if (r["layer"], r["head"]) != (2, 1)]
    named = claim.claim.startswith("head.2.1 ") and claim.verdict == "supported"
    return named and row["previous"] == 1 and row["entropy"] == 0 and max(others) < 0.2


@null("attention", "a softmax of noise")
def noise(seed: int) -> StudyResult:
    return _concluded(_random_patterns(seed))
