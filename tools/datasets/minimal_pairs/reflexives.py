"""Reflexive pronouns agree with the subject of their clause, in number and gender."""

from __future__ import annotations

import random

from ..probing.lexicon import Noun, Verb
from .pair import Twins, phenomenon

MEN = tuple(
    Noun(one, many)
    for one, many in (
        ("man", "men"),
        ("boy", "boys"),
        ("king", "kings"),
        ("prince", "princes"),
        ("father", "fathers"),
        ("brother", "brothers"),
        ("uncle", "uncles"),
        ("husband", "husbands"),
        ("waiter", "waiters"),
        ("monk", "monks"),
        ("son", "sons"),
        ("actor", "actors"),
    )
)
WOMEN = tuple(
    Noun(one, many)
    for one, many in (
        ("woman", "women"),
        ("girl", "girls"),
        ("queen", "queens"),
        ("princess", "princesses"),
        ("mother", "mothers"),
        ("sister", "sisters"),
        ("aunt", "aunts"),
        ("wife", "wives"),
        ("waitress", "waitresses"),
        ("nun", "nuns"),
        ("daughter", "daughters"),
        ("actress", "actresses"),
    )
)
"""Of the same roles as `MEN`, in the same order."""
VERBS = tuple(
    Verb(base, f"{base}s", past)
    for base, past in (
        ("hurt", "hurt"),
        ("blame", "blamed"),
        ("help", "helped"),
        ("see", "saw"),
        ("describe", "described"),
        ("introduce", "introduced"),
        ("praise", "praised"),
        ("protect", "protected"),
    )
)
OPENINGS = ("The", "Yesterday the", "It seems that the", "She said that the")


@phenomenon("reflexive-number", "a reflexive agrees in number with its subject")
def reflexive_number(draw: random.Random) -> Twins:
    """`The boys hurt` themselves, not himself."""
    noun, verb, opening = draw.choice(MEN), draw.choice(VERBS), draw.choice(OPENINGS)
    singular, plural = (f"{opening} {word} {verb.past}" for word in noun)
    return Twins(noun.singular, (singular, plural), (" himself", " themselves"))


@phenomenon("reflexive-gender", "a reflexive agrees in gender with its subject")
def reflexive_gender(draw: random.Random) -> Twins:
    """`The queen hurt` herself, not himself."""
    role, verb, opening = draw.randrange(len(MEN)), draw.choice(VERBS), draw.choice(OPENINGS)
    contexts = tuple(f"{opening} {noun.singular} {verb.past}" for noun in (MEN[role], WOMEN[role]))
    return Twins(MEN[role].singular, (contexts[0], contexts[1]), (" himself", " herself"))


@phenomenon("reflexive-attractor", "a reflexive agrees in gender across a noun of the other gender")
def reflexive_attractor(draw: random.Random) -> Twins:
    """`The queen near the king hurt` herself, not himself."""
    role, other = draw.sample(range(len(MEN)), 2)
    verb, opening = draw.choice(VERBS), draw.choice(OPENINGS)
    contexts = tuple(
        f"{opening} {noun.singular} near the {near.singular} {verb.past}"
        for noun, near in ((MEN[role], WOMEN[other]), (WOMEN[role], MEN[other]))
    )
    return Twins(MEN[role].singular, (contexts[0], contexts[1]), (" himself", " herself"))
