"""How deep a sentence's tree is (TreeDepth). All depths have the same lengths."""

from __future__ import annotations

import random
from itertools import product

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, different, fill_cells, labelled
from .grammar import Tree, sentence

DEPTHS, LENGTHS = (4, 5, 6, 7), (9, 10)
"""Of depth 4 there are no longer sentences, of depth 7 hardly any shorter ones."""


@dataset("probing/tree-depth", "sentence of 9 or 10 words: how deep is its tree, in four classes")
def tree_depth(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Sentences of 9 or 10 words, as many of each length in each class."""
    random_ = random.Random(seed)
    cells = list(product(DEPTHS, LENGTHS))
    trees = fill_cells(
        different(lambda: sentence(random_), Tree.text),
        lambda tree: (tree.depth(), len(tree.words())),
        cells,
        rows // len(cells),
    )
    examples = [LabelledExample(tree.text(), str(tree.depth())) for tree in trees]
    return labelled("tree-depth", examples, seed)
