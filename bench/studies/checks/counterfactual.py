"""Counterfactuals: edits equal brute force, and the word that decides is named where one does."""

from __future__ import annotations

from itertools import product

import numpy as np

from ....studies import StudyResult
from ....studies.behaviour.counterfactual import EditedWords, conclude, edited_words, measure_edits
from ....tools.behaviour.choices import ChoicePrompt
from ....tools.behaviour.word_edits import find_counterfactuals, measure_margins
from ...known_behaviour import bag_of_words
from ...tiny_subject import miniature
from ..registry import known_answer, null

POOL = ["dog", "river", "year", "Friday", "not", "red"]
TEXT = "the cat of the city was on Monday"
PROMPTS, WORDS, EDITS = 24, 6, 12


@known_answer("counterfactual", "the one-word edits found are those that brute force finds")
def brute_force(seed: int) -> bool:
    subject = miniature(seed)
    prompt = ChoicePrompt(TEXT, (" red", " blue"), 0)
    (margin,) = measure_margins(subject, prompt, [TEXT])
    if margin < 0:
        prompt = ChoicePrompt(TEXT, (" red", " blue"), 1)
    words = TEXT.split()
    texts = {
        (place, new): " ".join([*words[:place], *([new] if new else []), *words[place + 1 :]])
        for place, new in product(range(len(words)), ["", *POOL])
    }
    margins = {edit: measure_margins(subject, prompt, [text])[0] for edit, text in texts.items()}
    expected = {edit for edit, value in margins.items() if value < 0}
    found = find_counterfactuals(subject, prompt, POOL, most_edits=1)
    return {(each.edits[0].place, each.edits[0].new) for each in found.changed} == expected


@known_answer(
    "counterfactual", "in a bag of words the word with the weight is the one that decides"
)
def planted_word(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    neutral = ["the", "and", "then", "here", "now"]
    wet = [f"rain{letter}" for letter in "abcdefghij"]
    subject = bag_of_words({w: {"wet": 3.0} for w in wet}, words=neutral, bias={"dry": 0.2})
    edited: list[EditedWords] = []
    for word in wet:
        text = " ".join(rng.permutation([word, *neutral]).tolist())
        prompt = ChoicePrompt(text, (" wet", " dry"), 0, word, (word,))
        edited.append(edited_words(prompt, measure_edits(subject, prompt, neutral, 1)))
    result = conclude(edited, seed=seed)
    return all(claim.verdict == "supported" for claim in result.claims)


@null("counterfactual", "words that decide are drawn at random")
def random_words(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    edited: list[EditedWords] = []
    for number in range(PROMPTS):
        flips = rng.binomial(EDITS, rng.beta(1, 4, WORDS)) / EDITS
        decides = np.arange(WORDS) == rng.integers(WORDS)
        smallest = int(rng.choice(WORDS)) if flips.any() else -1
        edited.append(EditedWords(flips, decides, smallest, f"word {number % 16}"))
    return conclude(edited, seed=seed)
