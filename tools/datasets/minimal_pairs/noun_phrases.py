"""Inside a noun phrase: determiner and noun agree in number."""

from __future__ import annotations

import random

from ..probing.lexicon import ADJECTIVES, PEOPLE, VERBS
from .pair import Twins, phenomenon

DETERMINERS = (("this", "these"), ("that", "those"))


@phenomenon("determiner-noun", "a noun agrees in number with this, that, these or those")
def determiner_noun(draw: random.Random) -> Twins:
    """`She helped these` students, not student."""
    return _draw(draw, "")


@phenomenon("determiner-adjective-noun", "a noun agrees with its determiner across an adjective")
def determiner_adjective_noun(draw: random.Random) -> Twins:
    """`She helped these old` students, not student."""
    return _draw(draw, f" {draw.choice(ADJECTIVES)}")


def _draw(draw: random.Random, between: str) -> Twins:
    noun, verb, who = draw.choice(PEOPLE), draw.choice(VERBS), draw.choice(("She", "He", "They"))
    singular, plural = (f"{who} {verb.past} {word}{between}" for word in draw.choice(DETERMINERS))
    return Twins(noun.singular, (singular, plural), (f" {noun.singular}", f" {noun.plural}"))
