"""Number of the subject (SubjNum) and of the object (ObjNum). A noun's sentences are one group.

Verbs are in the past, so that only the noun tells. The other noun's number is drawn, and every
sentence is there once in each number.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, labelled_pairs
from .grammar import NUMBERS, Number, Tree, noun_phrase, verb_form
from .lexicon import PEOPLE, VERBS, Noun


@dataset("probing/subject-number", "sentence in the past: is its subject singular or plural?")
def subject_number(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Pairs of sentences that differ in the subject's number alone."""

    def build(asked: Tree, other: Tree, verb: Tree) -> Tree:
        return Tree("S", (asked, Tree("VP", (verb, other))))

    return _noun_number("subject-number", build, rows, seed)


@dataset("probing/object-number", "sentence in the past: is its object singular or plural?")
def object_number(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Pairs of sentences that differ in the object's number alone."""

    def build(asked: Tree, other: Tree, verb: Tree) -> Tree:
        return Tree("S", (other, Tree("VP", (verb, asked))))

    return _noun_number("object-number", build, rows, seed)


def _noun_number(
    name: str, build: Callable[[Tree, Tree, Tree], Tree], rows: int, seed: int
) -> LabelledTexts:
    def pair(draw: random.Random) -> list[LabelledExample]:
        noun = draw.choice(PEOPLE)
        asked = noun_phrase(draw, "singular", noun, depth=0)
        other = noun_phrase(draw, depth=0)
        verb = verb_form(draw.choice(VERBS), "singular", "past")
        return [
            LabelledExample(
                build(_in_number(asked, noun, number), other, verb).text(), number, noun[0]
            )
            for number in NUMBERS
        ]

    return labelled_pairs(name, pair, rows, seed)


def _in_number(phrase: Tree, noun: Noun, number: Number) -> Tree:
    word = noun.singular if number == "singular" else noun.plural
    label = "NN" if number == "singular" else "NNS"
    return Tree("NP", (*phrase.children[:-1], Tree(label, word=word)))
