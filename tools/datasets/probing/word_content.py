"""Which of twenty words a sentence has (WC)."""

from __future__ import annotations

import random

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, different, fill_cells, labelled
from .grammar import Tree, sentence
from .lexicon import PEOPLE

WORDS = tuple(noun.singular for noun in PEOPLE[:20])
_FORMS = {form: noun.singular for noun in PEOPLE[:20] for form in noun}


@dataset("probing/word-content", "sentence: which one of twenty nouns is in it")
def word_content(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Sentences with one of the words, in either number and anywhere, and with no other of them."""
    random_ = random.Random(seed)

    def label(tree: Tree) -> str | None:
        held = [_FORMS[word] for word in tree.words() if word in _FORMS]
        return held[0] if len(held) == 1 else None

    draw = different(lambda: sentence(random_), Tree.text)
    trees = fill_cells(draw, label, WORDS, rows // len(WORDS))
    return labelled(
        "word-content", [LabelledExample(tree.text(), str(label(tree))) for tree in trees], seed
    )
