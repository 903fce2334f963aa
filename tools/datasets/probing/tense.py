"""Tense of the main verb (Tense). A verb's sentences are one group; every sentence is there twice."""

from __future__ import annotations

import random

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, labelled_pairs
from .grammar import NUMBERS, Tense, Tree, noun_phrase, verb_form
from .lexicon import VERBS

TENSES: tuple[Tense, Tense] = ("past", "present")


@dataset("probing/tense", "sentence: is its verb in the past or in the present?")
def tense(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Pairs of sentences that differ in the verb's tense alone."""
    return labelled_pairs("tense", _pair, rows, seed)


def _pair(draw: random.Random) -> list[LabelledExample]:
    number, verb = draw.choice(NUMBERS), draw.choice(VERBS)
    subject = noun_phrase(draw, number, depth=0)
    object_ = noun_phrase(draw, depth=0)
    return [
        LabelledExample(_text(subject, verb_form(verb, number, tense), object_), tense, verb.base)
        for tense in TENSES
    ]


def _text(subject: Tree, verb: Tree, object_: Tree) -> str:
    return Tree("S", (subject, Tree("VP", (verb, object_)))).text()
