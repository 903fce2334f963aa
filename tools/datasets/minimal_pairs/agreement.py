"""Agreement of a verb with its subject, with and without nouns of the other number between them."""

from __future__ import annotations

import random

from ..probing.lexicon import PEOPLE, PLACES, PREPOSITIONS, THINGS, VERBS, Noun
from .pair import Twins, phenomenon

FORMS = ((" is", " are"), (" was", " were"), (" has", " have"))
OPENINGS = ("The", "I think that the", "It seems that the", "She said that the")
NEAR = tuple(word for word in PREPOSITIONS if word not in ("inside", "outside"))
_SUBJECTS = (*PEOPLE, *THINGS)
_RELATED = (("key", "to", "cabinet"), ("door", "of", "house"), ("letter", "from", "lawyer"))


@phenomenon("agreement", "a verb agrees with the subject right before it")
def agreement(draw: random.Random) -> Twins:
    """`The keys` are, not is."""
    noun, opening = draw.choice(_SUBJECTS), draw.choice(OPENINGS)
    singular, plural = (f"{opening} {word}" for word in noun)
    return Twins(noun.singular, (singular, plural), draw.choice(FORMS))


@phenomenon("agreement-no-attractor", "a verb agrees across a noun of the same number")
def agreement_no_attractor(draw: random.Random) -> Twins:
    """`The keys to the cabinets` are, not is."""
    return _across(draw, is_other=False)


@phenomenon("agreement-attractor", "a verb agrees across a noun of the other number")
def agreement_attractor(draw: random.Random) -> Twins:
    """`The keys to the cabinet` are, not is."""
    return _across(draw, is_other=True)


def _across(draw: random.Random, *, is_other: bool) -> Twins:
    noun, preposition, between = draw.choice(_SUBJECTS), draw.choice(NEAR), draw.choice(PLACES)
    if draw.random() < 0.2:
        head, preposition, tail = draw.choice(_RELATED)
        noun, between = Noun(head, f"{head}s"), Noun(tail, f"{tail}s")
    opening = draw.choice(OPENINGS)
    inner = (between.plural, between.singular) if is_other else between
    singular, plural = (
        f"{opening} {word} {preposition} the {other}"
        for word, other in zip(noun, inner, strict=True)
    )
    return Twins(noun.singular, (singular, plural), draw.choice(FORMS))


@phenomenon("agreement-relative", "a verb agrees across a relative clause with another subject")
def agreement_relative(draw: random.Random) -> Twins:
    """`The author that the guards like` is, not are."""
    noun, other = draw.sample(PEOPLE, 2)
    verb, opening = draw.choice(VERBS), draw.choice(OPENINGS)
    return Twins(
        noun.singular,
        (
            f"{opening} {noun.singular} that the {other.plural} {verb.base}",
            f"{opening} {noun.plural} that the {other.singular} {verb.singular}",
        ),
        draw.choice(FORMS),
    )
