"""Are two neighbouring words swapped? (BShift). Each sentence is there once in each order."""

from __future__ import annotations

import random

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, different, labelled
from .grammar import Tree, as_sentence, sentence

SWAPPED = frozenset({("DT", "NN"), ("DT", "NNS"), ("DT", "JJ"), ("IN", "DT"), ("VBD", "DT")})
"""Neighbours that are never English in the other order, whatever the words."""


@dataset("probing/bigram-shift", "sentence: are two neighbouring words swapped?")
def bigram_shift(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Pairs of a sentence of at least seven words and the same with two words swapped."""
    random_ = random.Random(seed)
    draw = different(lambda: sentence(random_), Tree.text)
    examples: list[LabelledExample] = []
    while len(examples) < rows // 2 * 2:
        leaves = list(draw().leaves())
        if 7 <= len(leaves) <= 14:
            examples += _pair(leaves, random_, f"pair {len(examples) // 2}")
    return labelled("bigram-shift", examples, seed)


def _pair(leaves: list[Tree], draw: random.Random, group: str) -> list[LabelledExample]:
    words = [leaf.word for leaf in leaves]
    # Not the first word, which has the capital.
    places = [
        at
        for at in range(1, len(leaves) - 1)
        if (leaves[at].label, leaves[at + 1].label) in SWAPPED
    ]
    at = draw.choice(places)
    swapped = [*words[:at], words[at + 1], words[at], *words[at + 2 :]]
    return [
        LabelledExample(as_sentence(words), "original", group),
        LabelledExample(as_sentence(swapped), "swapped", group),
    ]
