"""Goals: a planted rate of disagreement is recovered, and without stated preferences nothing is said."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.goals import PairPreferences, conclude, measure_forms
from ...known_behaviour import bag_of_words
from ..registry import known_answer, null

PAIRS = [(f"{letter}one", f"{letter}two") for letter in "abcdefghijklmnopqrst"]
STATED = ("prefer {first} {second}", "choose {first} {second}", "like {first} or {second}")
SHOWN = ("took {first} {second}", "kept {first} {second}", "bought {first} or {second}")
OPPOSED = 6
FORMS, N = 6, 32


@known_answer("goals", "of 20 planted preferences 6 are shown the other way: a disagreement of 0.3")
def planted_disagreement(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], len(PAIRS))
    opposed = np.isin(np.arange(len(PAIRS)), rng.permutation(len(PAIRS))[:OPPOSED])
    weights: dict[str, dict[str, float]] = {}
    for forms, direction in ((STATED, sign), (SHOWN, np.where(opposed, -sign, sign))):
        for form in forms:
            row = {a: float(d) for (a, _), d in zip(PAIRS, direction, strict=True)}
            row |= {b: float(-d) for (_, b), d in zip(PAIRS, direction, strict=True)}
            weights[form.split()[0]] = {word: 9 * value for word, value in row.items()}
    subject = bag_of_words(weights, words=["or"])
    stated, shown = (
        measure_forms(subject, PAIRS, forms)["preference"] for forms in (STATED, SHOWN)
    )
    result = conclude(PairPreferences(stated, shown), seed=seed)
    disagreement = result.claims[1]
    named = [row["agree"] is False for row in result.rows] == opposed.tolist()
    return named and disagreement.value == OPPOSED / len(PAIRS)


@known_answer("goals", "where nothing is stated beyond noise, it cannot say")
def nothing_stated(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (N, FORMS))
    stated = noise - noise.mean(axis=1, keepdims=True) + 0.01
    result = conclude(PairPreferences(stated, rng.normal(1, 0.1, (N, FORMS))), seed=seed)
    return all(claim.verdict == "cannot say" for claim in result.claims)


@null("goals", "shown choices have nothing to do with what is stated")
def unrelated(seed: int) -> StudyResult:
    result = _drawn(seed, agreement=0.5)
    return StudyResult(result.rows, result.claims[:1], result.figures)


@null("goals", "one pair in ten disagrees")
def at_the_bound(seed: int) -> StudyResult:
    result = _drawn(seed, agreement=0.9)
    return StudyResult(result.rows, result.claims[1:], result.figures)


def _drawn(seed: int, agreement: float) -> StudyResult:
    """Clear preferences, of which a share is shown the same way."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], N)
    same = np.where(rng.uniform(size=N) < agreement, sign, -sign)
    stated, shown = (s[:, None] * 2 + rng.normal(0, 0.5, (N, FORMS)) for s in (sign, same))
    return conclude(PairPreferences(stated, shown), seed=seed)
