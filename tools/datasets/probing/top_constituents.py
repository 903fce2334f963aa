"""What a sentence begins with (TopConst): its topmost constituents. All have the same lengths."""

from __future__ import annotations

import random
from itertools import product

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, different, fill_cells, labelled
from .grammar import Tree, place, sentence
from .lexicon import ADVERBS

CLASSES = ("NP VP", "ADVP NP VP", "PP NP VP", "SBAR NP VP", "CC NP VP")
LENGTHS = (14, 15)
"""Two clauses rarely have fewer words, and one clause rarely has more."""
_COMMA = Tree(",", word=",")


@dataset(
    "probing/top-constituents", "sentence: with which constituents does it begin, in five classes"
)
def top_constituents(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Sentences of 14 or 15 words, as many of each length in each class."""
    random_ = random.Random(seed)
    cells = list(product(CLASSES, LENGTHS))
    trees = fill_cells(
        different(lambda: _draw(random_), Tree.text),
        lambda tree: (_label(tree), len(tree.words())),
        cells,
        rows // len(cells),
    )
    examples = [LabelledExample(tree.text(), _label(tree)) for tree in trees]
    return labelled("top-constituents", examples, seed)


def _label(tree: Tree) -> str:
    return " ".join(child.label for child in tree.children if child.label != ",")


def _draw(draw: random.Random) -> Tree:
    clause = sentence(draw)
    kind = draw.choice(CLASSES)
    if kind == "NP VP":
        return clause
    if kind == "CC NP VP":
        return Tree("S", (Tree("CC", word=draw.choice(("and", "but"))), *clause.children))
    if kind == "ADVP NP VP":
        first = Tree("ADVP", (Tree("RB", word=draw.choice(ADVERBS)),))
    elif kind == "PP NP VP":
        first = place(draw)
    else:
        conjunction = Tree("IN", word=draw.choice(("when", "because", "although", "after")))
        first = Tree("SBAR", (conjunction, sentence(draw, depth=0)))
    return Tree("S", (first, _COMMA, *clause.children))
