"""Antonym recall."""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts, word_pairs

OPPOSITES = word_pairs(
    "hot/cold big/small up/down happy/sad fast/slow light/dark high/low rich/poor old/young good/bad left/right "
    "open/closed hard/soft long/short full/empty early/late strong/weak true/false dry/wet day/night love/hate "
    "win/lose north/south east/west inside/outside black/white first/last above/below before/after buy/sell"
)
TEMPLATES = (
    "The opposite of {word} is",
    "The antonym of {word} is",
    "A word that means the opposite of {word} is",
    "If something is not {word}, then it is",
)


@task("antonym", "the opposite of a word")
def antonym(draw: Draw) -> Example:
    """Clean: "The opposite of hot is" -> cold; the twin asks about another word."""
    (word, opposite), (other, other_opposite) = draw.pair(OPPOSITES)
    # Either word of a pair may be the one that is asked about.
    if draw.rng.random() < 0.5:
        word, opposite = opposite, word
    if draw.rng.random() < 0.5:
        other, other_opposite = other_opposite, other
    return twin_prompts(
        draw.choice(TEMPLATES),
        {"word": word},
        {"word": other},
        [f" {opposite}"],
        [f" {other_opposite}"],
        [f" {word}", f" {other}"],
    )
