"""Subject-verb agreement, the verb right after its subject."""

from __future__ import annotations

from .agreement import NOUNS, VERBS
from .task import Draw, Example, task, twin_prompts

TEMPLATES = (
    "The {subject}",
    "I think that the {subject}",
    "Everyone knows that the {subject}",
    "She said that the {subject}",
    "Today the {subject}",
    "It seems that the {subject}",
)


@task("sva", "a verb that agrees with its subject")
def sva(draw: Draw) -> Example:
    """Clean: "I think that the keys" -> are, not is; the twin has the subject in the other number."""
    noun, number = draw.choice(NOUNS), draw.rng.randint(0, 1)
    verb = draw.choice(VERBS)
    return twin_prompts(
        draw.choice(TEMPLATES),
        {"subject": noun[number]},
        {"subject": noun[1 - number]},
        [verb[number]],
        [verb[1 - number]],
        [f" {word}" for word in noun],
    )
