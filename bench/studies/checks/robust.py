"""Robustness: a bag of words does not care about order and case, and does about its one word."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.robust import CLAIMS, CONTROL, Perturbed, conclude, measure_kind
from ....tools.behaviour.choices import ChoicePrompt
from ...known_behaviour import bag_of_words
from ..registry import known_answer, null

NEUTRAL = ["the", "everyone", "everybody", "here", "so", "well", "now", "indeed", "then"]
PROMPTS = 30


@known_answer(
    "robust", "a bag of words: order and case flip 0 at a KL of 0, a typo in its word flips"
)
def bag(seed: int) -> bool:
    rain = [f"rain{letter}" for letter in "abcdefghijklmnop"]
    subject = bag_of_words({w: {"wet": 8.0} for w in rain}, words=NEUTRAL, bias={"dry": 0.3})
    prompts = [
        ChoicePrompt(f"the {word} here now", (" wet", " dry"), 0, word, (word,)) for word in rain
    ]
    figures = {}
    for kind in (*CLAIMS, CONTROL):
        measured = measure_kind(subject, prompts, kind, 3, seed)
        figures[kind] = Perturbed(measured["flips"], measured["kl"])
    result = conclude(figures, [prompt.group for prompt in prompts], seed)
    verdict = {kind: c.verdict for kind, c in zip(CLAIMS, result.claims, strict=True)}
    still = all(figures[kind].flips.max() == 0 for kind in ("order", "case", CONTROL))
    unmoved = all(figures[kind].kl.max() < 1e-6 for kind in ("order", "case"))
    return still and unmoved and verdict["typo"] == "supported" != verdict["order"]


@null("robust", "every perturbation flips as often as the control does")
def all_alike(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 20, PROMPTS)
    fragile = rng.beta(1, 5, 20)[group]
    figures = {
        kind: Perturbed(rng.binomial(3, fragile) / 3, rng.gamma(1, 0.2, PROMPTS))
        for kind in (*CLAIMS, CONTROL)
    }
    return conclude(figures, [str(each) for each in group], seed)
