"""Sentence length, in words (SentLen)."""

from __future__ import annotations

import random

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, different, fill_cells, labelled
from .grammar import Tree, sentence

CLASSES = {"5-7": (5, 6, 7), "8-10": (8, 9, 10), "11-13": (11, 12, 13), "14-16": (14, 15, 16)}
_CLASS_OF = {length: name for name, lengths in CLASSES.items() for length in lengths}


@dataset("probing/length", "sentence: how many words, in four classes")
def sentence_length(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Sentences of 5 to 16 words."""
    random_ = random.Random(seed)

    def label(tree: Tree) -> str | None:
        return _CLASS_OF.get(len(tree.words()))

    draw = different(lambda: sentence(random_), Tree.text)
    trees = fill_cells(draw, label, list(CLASSES), rows // len(CLASSES))
    return labelled(
        "length", [LabelledExample(tree.text(), str(label(tree))) for tree in trees], seed
    )
