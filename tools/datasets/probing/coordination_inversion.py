"""Are two coordinate clauses in the wrong order? (CoordInv).

The second clause has a pronoun for a noun of the first, so that their order can be told: "The cook
lost the lamp, and the nurse repaired it." Each pair of clauses is there once in each order.
"""

from __future__ import annotations

import random

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, labelled_pairs
from .grammar import NUMBERS, Tree, as_sentence, noun_phrase
from .lexicon import THINGS

FIRST = ("found", "lost", "bought", "stole", "noticed", "broke", "brought", "borrowed")
SECOND = ("repaired", "cleaned", "hid", "returned", "sold", "admired", "painted", "wanted")
CONJUNCTIONS = ("and", "but", "so")


@dataset("probing/coordination-inversion", "two clauses: are they in the wrong order?")
def coordination_inversion(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Pairs of two clauses in the right order and in the other."""
    return labelled_pairs("coordination-inversion", _pair, rows, seed)


def _pair(draw: random.Random) -> list[LabelledExample]:
    number = draw.choice(NUMBERS)
    thing = noun_phrase(draw, number, draw.choice(THINGS), modified=False)
    noun = thing.children[-1].word  # things are never angry or polite
    pronoun = "it" if number == "singular" else "them"
    first = [*_person(draw), draw.choice(FIRST), "the", noun]
    second = [*_person(draw), draw.choice(SECOND), pronoun]
    conjunction = [",", draw.choice(CONJUNCTIONS)]
    text = as_sentence([*first, *conjunction, *second])
    inverted = as_sentence([*second, *conjunction, *first])
    return [LabelledExample(text, "original", text), LabelledExample(inverted, "inverted", text)]


def _person(draw: random.Random) -> list[str]:
    phrase: Tree = noun_phrase(draw, depth=0)
    return phrase.words()
