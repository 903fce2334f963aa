"""Subject-verb agreement across a noun of the other number (Linzen et al. 2016)."""

from __future__ import annotations

from .agreement import NOUNS, VERBS
from .task import Draw, Example, task, twin_prompts, words

PREPOSITIONS = words("near behind beside above before below")
OPENINGS = ("The", "I think that the", "She said that the", "It seems that the")


@task("sva-attractor", "a verb that agrees with its subject, across a noun of the other number")
def sva_attractor(draw: Draw) -> Example:
    """Clean: "The key near the windows" -> is, not are.

    In the twin, subject and attractor have the other number.
    """
    (noun, attractor), number = draw.pair(NOUNS), draw.rng.randint(0, 1)
    verb = draw.choice(VERBS)
    opening, preposition = draw.choice(OPENINGS), draw.choice(PREPOSITIONS)
    return twin_prompts(
        f"{opening} {{subject}} {preposition} the {{attractor}}",
        {"subject": noun[number], "attractor": attractor[1 - number]},
        {"subject": noun[1 - number], "attractor": attractor[number]},
        [verb[number]],
        [verb[1 - number]],
        [f" {word}" for word in (*noun, *attractor)],
    )
