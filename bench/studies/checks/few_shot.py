"""Few-shot: a subject that repeats what it was shown is always right with the answer in its shots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.few_shot import conclude
from ....tools.behaviour.choices import ChoicePrompt, margins, option_log_probs
from ....tools.behaviour.shots import Answers, with_shots
from ...known_behaviour import bag_of_words, shot_reader
from ..registry import known_answer, null

QUESTIONS = [f"q{letter}" for letter in "abcdefghijklmnop"]
LABELS = ["red", "blue", "green", "grey"]
SHOTS = (0, 4)
PROMPTS = 40


@known_answer(
    "few-shot", "a planted reader of its shots is right on all that it was shown, and only then"
)
def planted_reader(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    subject = shot_reader([*QUESTIONS, *LABELS])
    label = {question: str(rng.choice(LABELS)) for question in QUESTIONS}
    prompts = [
        ChoicePrompt(q, (f" {label[q]}", f" {next(x for x in LABELS if x != label[q])}"), 0, q)
        for q in QUESTIONS
    ]
    figures: dict[Answers, dict[int, np.ndarray]] = {"right": {}, "shuffled": {}}
    for answers, by_count in figures.items():
        for count in SHOTS:
            shown = with_shots(prompts, count, answers=answers, seed=seed)
            if count:  # the question itself is among the shots, with its answer or another
                shown = [_with_own(p, s, answers) for p, s in zip(prompts, shown, strict=True)]
            values = option_log_probs(subject, shown)
            by_count[count] = margins(values, [0] * len(shown)) - 1e-6  # a tie is not right
    groups = [prompt.group for prompt in prompts]
    result = conclude(figures["right"], figures["shuffled"], groups, seed)
    first, last = result.rows[0]["accuracy"], result.rows[-1]["accuracy"]
    supported = all(claim.verdict == "supported" for claim in result.claims)
    return supported and last == 1.0 and first == 0.0 and result.rows[-1]["shuffled answers"] == 0


@known_answer("few-shot", "a bag of words that knows the answers gains nothing from shots' answers")
def knows_already(seed: int) -> bool:
    weights = {q: {LABELS[n % 2]: 30.0} for n, q in enumerate(QUESTIONS)}
    subject = bag_of_words(weights, words=LABELS)
    prompts = [
        ChoicePrompt(q, (f" {LABELS[n % 2]}", f" {LABELS[1 - n % 2]}"), 0, q)
        for n, q in enumerate(QUESTIONS)
    ]
    figures: dict[Answers, dict[int, np.ndarray]] = {"right": {}, "shuffled": {}}
    for answers, by_count in figures.items():
        for count in SHOTS:
            shown = with_shots(prompts, count, answers=answers, seed=seed)
            by_count[count] = margins(option_log_probs(subject, shown), [0] * len(shown))
    groups = [prompt.group for prompt in prompts]
    result = conclude(figures["right"], figures["shuffled"], groups, seed)
    zero_shot = result.rows[0]["accuracy"]
    return zero_shot == 1.0 and all(c.verdict != "supported" for c in result.claims)


@null("few-shot", "shots change which prompts are answered rightly, and not how many")
def no_gain(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 20, PROMPTS)
    ease = rng.normal(0, 0.5, 20)[group]
    right, shuffled = (
        {count: ease + rng.normal(0, 1, PROMPTS) for count in (0, 1, 2, 4, 8)} for _ in range(2)
    )
    return conclude(right, shuffled, [str(each) for each in group], seed)


def _with_own(prompt: ChoicePrompt, shown: ChoicePrompt, answers: Answers) -> ChoicePrompt:
    answer = prompt.options[0 if answers == "right" else 1]
    return replace(shown, text=f"{prompt.text}{answer}\n{shown.text}")
