"""Gendered pronouns (Mathwin et al. 2023): he or she, after a first name."""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts, words

WOMEN = words(
    "Mary Sarah Anna Lisa Kate Emma Laura Alice Jane Susan Julia Helen Rachel Linda Rose Amy Grace Ruth"
)
MEN = words(
    "John Tom James Paul Mark Peter Jack David Michael Robert Daniel Andrew George Simon Kevin Adam Brian Henry"
)
TEMPLATES = (
    "So {name} is a really great friend, isn't",
    "{name} was late again because",
    "When {name} came home from work,",
    "I asked {name} a question, but",
    "Well, {name} is a very good cook, isn't",
    "As soon as {name} arrived at the station,",
)


@task("pronoun", "the pronoun of a first name")
def pronoun(draw: Draw) -> Example:
    """Clean: "So Mary is a really great friend, isn't" -> she, not he.

    The twin has a name of the other gender.
    """
    woman, man = draw.choice(WOMEN), draw.choice(MEN)
    if draw.rng.random() < 0.5:
        name, other, answer, foil = woman, man, " she", " he"
    else:
        name, other, answer, foil = man, woman, " he", " she"
    return twin_prompts(
        draw.choice(TEMPLATES),
        {"name": name},
        {"name": other},
        [answer],
        [foil],
        [f" {name}", f" {other}"],
    )
