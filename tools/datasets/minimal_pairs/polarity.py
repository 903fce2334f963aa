"""Negative polarity: "ever" and "any" need a negation before them, and above them in the tree."""

from __future__ import annotations

import random

from ..probing.lexicon import PEOPLE, VERBS
from .pair import Twins, phenomenon

OPENINGS = ("I think that", "It seems that", "She said that", "We know that")


@phenomenon("polarity-ever", "ever needs a negation", compares_contexts=True)
def polarity_ever(draw: random.Random) -> Twins:
    """`no student has` ever, not `the student has` ever."""
    noun, opening = draw.choice(PEOPLE), draw.choice(OPENINGS)
    contexts = tuple(f"{opening} {word} {noun.singular} has" for word in ("no", "the"))
    return Twins(noun.singular, (contexts[0], contexts[1]), (" ever", " ever"))


@phenomenon("polarity-any", "any needs a negation", compares_contexts=True)
def polarity_any(draw: random.Random) -> Twins:
    """`the student did not see` any, not `the student did really see` any."""
    noun, verb, opening = draw.choice(PEOPLE), draw.choice(VERBS), draw.choice(OPENINGS)
    contexts = tuple(
        f"{opening} the {noun.singular} did {word} {verb.base}" for word in ("not", "really")
    )
    return Twins(noun.singular, (contexts[0], contexts[1]), (" any", " any"))


@phenomenon(
    "polarity-scope", "ever needs a negation that is not inside a clause", compares_contexts=True
)
def polarity_scope(draw: random.Random) -> Twins:
    """`no student that the doctor likes has` ever, not `the student that no doctor likes has` ever."""
    noun, other = draw.sample(PEOPLE, 2)
    verb, opening = draw.choice(VERBS), draw.choice(OPENINGS)
    contexts = tuple(
        f"{opening} {outer} {noun.singular} that {inner} {other.singular} {verb.singular} has"
        for outer, inner in (("no", "the"), ("the", "no"))
    )
    return Twins(noun.singular, (contexts[0], contexts[1]), (" ever", " ever"))
