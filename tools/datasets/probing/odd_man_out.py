"""Is a noun replaced by one that makes no sense there? (SOMO).

Two sentences exchange their objects. So every verb and every noun is as often in the one class as in
the other, and only the two together tell. The sentences of two kinds of objects are one group.
"""

from __future__ import annotations

import random
from itertools import combinations, cycle, islice

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .balanced import ROWS, LabelledExample, different, labelled
from .grammar import Tree, noun_phrase
from .lexicon import COMPATIBLE, KINDS


@dataset("probing/odd-man-out", "sentence: does its object make no sense with its verb?")
def odd_man_out(rows: int = ROWS, seed: int = 0) -> LabelledTexts:
    """Four sentences at a time: two that make sense, and the same with their objects exchanged."""
    random_ = random.Random(seed)
    pairs = [pair for pair in combinations(KINDS, 2) if frozenset(pair) not in COMPATIBLE]
    kinds = cycle(pairs)
    draw = different(lambda: _exchange(random_, next(kinds)), lambda four: four[0].text)
    examples = [example for _ in range(rows // 4) for example in draw()]
    return labelled("odd-man-out", list(islice(examples, rows)), seed)


def _exchange(draw: random.Random, kinds: tuple[str, str]) -> list[LabelledExample]:
    group = " ".join(kinds)
    subjects = [noun_phrase(draw, depth=0) for _ in kinds]
    verbs = [draw.choice(KINDS[kind].verbs) for kind in kinds]
    nouns = [draw.choice(KINDS[kind].nouns) for kind in kinds]
    return [
        LabelledExample(_text(subject, verb, noun), label, group)
        for label, given in (("original", nouns), ("odd", nouns[::-1]))
        for subject, verb, noun in zip(subjects, verbs, given, strict=True)
    ]


def _text(subject: Tree, verb: str, noun: str) -> str:
    object_ = Tree("NP", (Tree("DT", word="the"), Tree("NN", word=noun)))
    return Tree("S", (subject, Tree("VP", (Tree("VBD", word=verb), object_)))).text()
