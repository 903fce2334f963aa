"""Forms of a verb after an auxiliary or a negation, and of a pronoun by its place."""

from __future__ import annotations

import random

from ..probing.lexicon import PEOPLE, SAYING, VERBS
from .pair import Twins, phenomenon

IRREGULAR = (
    ("ate", "eaten"),
    ("wrote", "written"),
    ("took", "taken"),
    ("broke", "broken"),
    ("drove", "driven"),
    ("gave", "given"),
    ("knew", "known"),
    ("saw", "seen"),
    ("spoke", "spoken"),
    ("stole", "stolen"),
    ("chose", "chosen"),
    ("forgot", "forgotten"),
    ("threw", "thrown"),
    ("wore", "worn"),
    ("drew", "drawn"),
    ("sang", "sung"),
    ("began", "begun"),
    ("drank", "drunk"),
    ("swam", "swum"),
    ("flew", "flown"),
)
"""Past and participle."""


@phenomenon("participle", "a participle follows has, and the past a subject")
def participle(draw: random.Random) -> Twins:
    """`The student has` written, not wrote."""
    past, participle_ = draw.choice(IRREGULAR)
    noun = draw.choice(PEOPLE)
    contexts = (f"Yesterday the {noun.singular}", f"Since then the {noun.singular} has")
    return Twins(past, contexts, (f" {past}", f" {participle_}"))


@phenomenon("negated-verb", "a bare verb follows does not, and an inflected one the subject")
def negated_verb(draw: random.Random) -> Twins:
    """`The student does not` know, not knows."""
    noun, verb = draw.choice(PEOPLE), draw.choice(VERBS)
    contexts = (f"Every day the {noun.singular}", f"The {noun.singular} does not")
    return Twins(verb.base, contexts, (f" {verb.singular}", f" {verb.base}"))


@phenomenon("pronoun-case", "a pronoun has the case of its place")
def pronoun_case(draw: random.Random) -> Twins:
    """`The student helped` him, not he; `I think that` he, not him."""
    noun, verb = draw.choice(PEOPLE), draw.choice(VERBS)
    said = draw.choice(SAYING).past
    contexts = (f"The {noun.singular} {said} that", f"The {noun.singular} {verb.past}")
    forms = ((" he", " him"), (" she", " her"), (" they", " them"), (" we", " us"))
    return Twins(noun.singular, contexts, draw.choice(forms))
