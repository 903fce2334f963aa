"""Explanations that rest on the cutting of the text are marked, others are not: against a naive loop."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.artefact import LEAST_SHARE, START, STRONGEST, artefact, start_share
from hubel.tools.dissection import Predicate

MASK = np.broadcast_to(np.arange(64) > 0, (90, 64))


def signal(at_start: int, seed: int = 0) -> np.ndarray:
    """Noise, with 50 strong tokens in as many contexts, so many of them at a context's start."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.1, MASK.shape)
    values[:, 0] = 100  # a sink that does not count
    for context in range(STRONGEST):
        position = rng.integers(1, START) if context < at_start else rng.integers(START, 64)
        values[context, position] = rng.choice([-1, 1]) * rng.uniform(5, 9)
    return values


@pytest.mark.parametrize("at_start", [0, 10, 24, 25, 50])
def test_share_is_that_of_a_naive_loop(at_start: int) -> None:
    values = signal(at_start)
    tokens = [(abs(values[c, p]), p) for c in range(90) for p in range(1, 64)]
    strongest = sorted(tokens, reverse=True)[:STRONGEST]
    naive = sum(position < START for _, position in strongest) / STRONGEST
    assert start_share(values, MASK) == naive == at_start / STRONGEST
    assert bool(artefact(None, values, MASK)) == (naive >= LEAST_SHARE)


def test_silent_target_and_noise_are_not_marked() -> None:
    assert artefact(None, np.zeros(MASK.shape), MASK) == ""
    noise = np.random.default_rng(1).normal(size=MASK.shape)
    assert artefact(None, noise, MASK) == ""


@pytest.mark.parametrize(
    ("printed", "marked"),
    [
        ('strongly position(0, 4) + moderately casing("capitalised")', True),
        ("- strongly position(32, 63)", True),
        ('strongly both(casing("capitalised"), position(0, 4))', True),
        ('strongly casing("capitalised") + moderately position(0, 4)', True),
        (
            'strongly casing("capitalised") + strongly suffix("ed") - strongly suffix("ing")'
            " + moderately position(0, 4)",
            False,
        ),
        ('strongly words("cat") + moderately position(0, 4)', True),  # listed words head nothing
        ('list(" cat" 3)', False),
    ],
)
def test_a_place_in_the_context_is_marked_where_the_headline_has_it(
    printed: str, marked: bool
) -> None:
    reason = artefact(Predicate.parse(printed), signal(0), MASK)
    assert bool(reason) == marked
    assert not marked or "place in the excerpt" in reason
