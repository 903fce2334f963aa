"""Adversarial: in a linear subject the best first-order swap is the best; a trigger is what is left."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.adversarial import COLUMNS, conclude, question_of
from ....tools.behaviour.choices import ChoicePrompt
from ....tools.behaviour.hotflip import attack_by_swaps, measure_next_token_margins, word_tokens
from ....tools.behaviour.input_reduction import reduce_prompt
from ...known_behaviour import bag_of_words
from ..registry import known_answer, null

WORDS = ["red", "cat", "dog", "city", "river", "bank", "told", "year"]
PROMPTS = 24


@known_answer("adversarial", "in a bag of words the best first-order swap is the best of all swaps")
def best_swap(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    weights = {word: {"wet": wet, "dry": dry} for word, wet, dry in zip(
        WORDS, rng.normal(size=8).tolist(), rng.normal(size=8).tolist(), strict=True
    )}  # fmt: skip
    subject = bag_of_words(weights, words=["the"], bias={"wet": 3.0})
    question = question_of(subject, ChoicePrompt("the cat told the dog", (" wet", " dry"), 0))
    words = word_tokens(subject)
    attack = attack_by_swaps(subject, question, words, most_swaps=1, verified=1)
    swapped = [
        (*question.ids[:place], word, *question.ids[place + 1 :])
        for place in range(1, len(question.ids))
        for word in words
    ]
    best = min(measure_next_token_margins(subject, swapped, question))
    return abs(attack.margins[1] - best) < 1e-5


@known_answer("adversarial", "a prompt with a planted trigger is reduced to that token")
def trigger(seed: int) -> bool:
    subject = bag_of_words({"bank": {"wet": 20.0}}, words=["the", *WORDS], bias={"dry": 1.0})
    words = np.random.default_rng(seed).permutation(["the", "dog", "of", "bank", "cat", "year"])
    reduced = reduce_prompt(subject, subject.tokenize(" ".join(words.tolist())).ids)
    left = [subject.token_strings()[reduced.ids[place]].strip() for place in reduced.kept]
    return left == ["bank"]


@null("adversarial", "swaps and deletions by gradient are drawn at random too")
def both_at_random(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    group = np.arange(PROMPTS) % 16
    fragile = rng.beta(1, 3, 16)[group]
    length = rng.integers(5, 12, PROMPTS)
    figures: dict[str, np.ndarray] = {}
    for place, column in enumerate(COLUMNS):
        if "flipped" in column:
            figures[column] = rng.binomial(1, fragile).astype(float)
        elif "kept" in column:
            figures[column] = rng.integers(1, length + 1) / length
        else:
            figures[column] = rng.normal(0, 0.2, PROMPTS) + 0 * place
    return conclude(figures, [str(each) for each in group], seed=seed)
