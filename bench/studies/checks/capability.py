"""Capability: a planted accuracy is recovered, and a subject without the ability has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.capability import AnsweredTask, conclude, length_matched
from ....tools.behaviour.choices import ChoicePrompt, margins, option_log_probs
from ...known_behaviour import bag_of_words
from ..registry import known_answer, null

QUESTIONS = [f"{a}{b}q" for a in "abcdefgh" for b in "abcde"]
LABELS = ["red", "blue"]
KNOWN = 0.9
PROMPTS = 48


@known_answer("capability", "a subject that knows 36 of 40 answers has an accuracy of exactly 0.9")
def planted_knowledge(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    label = {q: LABELS[n % 2] for n, q in enumerate(QUESTIONS)}
    wrong = set(rng.permutation(QUESTIONS)[: round((1 - KNOWN) * len(QUESTIONS))].tolist())
    other = {"red": "blue", "blue": "red"}
    weights = {q: {other[a] if q in wrong else a: 9.0} for q, a in label.items()}
    subject = bag_of_words(weights, words=["is"])
    prompts = [
        ChoicePrompt(f"{q} is", (f" {label[q]}", f" {other[label[q]]}"), 0, q) for q in QUESTIONS
    ]
    others = length_matched(prompts, [2] * len(prompts), seed)
    asked = [replace(p, text=prompts[o].text) for p, o in zip(prompts, others, strict=True)]
    right, control = (
        margins(option_log_probs(subject, each), [0] * len(each)) > 0 for each in (prompts, asked)
    )
    result = conclude({"known": AnsweredTask(right, control, [p.group for p in prompts])}, seed)
    exact = abs(float(result.rows[0]["accuracy"]) - KNOWN) < 1e-9
    return exact and all(claim.verdict == "supported" for claim in result.claims)


@null("capability", "answers are guessed")
def guesses(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    answered = {}
    for task in ("a", "b", "c"):
        group = rng.integers(0, 24, PROMPTS)
        # a group of prompts has one question, and much the same guess
        luck = rng.beta(2, 2, 24)[group]
        right, control = (rng.binomial(1, luck) > 0 for _ in range(2))
        answered[task] = AnsweredTask(right, control, [str(each) for each in group])
    return conclude(answered, seed)
