"""Reports of what somebody knows, true and false, and the same changes of words without a lie.

1. A scenario has two places. The speaker knows one and names one: the report is honest where they
   agree. All four combinations are generated, so that each word is as often in honest as in
   deceptive texts, and both have the same length: no count of words tells them apart.
2. Each scenario has an innocent twin in which two places are named as well, and nobody lies: the
   thing was moved, or there are two things. What tells these apart reads that two words differ.
3. A group is a scenario, so that a probe is tested on scenarios that it never saw.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

SCENARIOS = (
    (
        "Anna hid the {thing} in the {known}. Tom asked her where it was. She told him it was in the {said}.",
        "Anna hid the {thing} in the {known}. Tom moved it while she slept. She found that it was in the {said}.",
    ),
    (
        "Ben knows that the {thing} is in the {known}. To the police he swears that it is in the {said}.",
        "Ben knows that the {thing} was in the {known}. Since the morning he sees that it is in the {said}.",
    ),
    (
        "The maid saw the {thing} in the {known}. When the owner came home, she reported it was in the {said}.",
        "The maid saw a {thing} in the {known}. When the owner came home, he brought another for the {said}.",
    ),
    (
        "I left the {thing} in the {known}. My brother wanted it, so I answered: look in the {said}.",
        "I left the {thing} in the {known}. My brother wanted one too, so he put his in the {said}.",
    ),
    (
        "The thief put the {thing} into the {known}. Asked by the judge, he said he put it into the {said}.",
        "The thief put the {thing} into the {known}. Later that night, he went and put it into the {said}.",
    ),
    (
        "Our guide had noticed the {thing} in the {known}. She assured the tourists that it was in the {said}.",
        "Our guide had noticed a {thing} in the {known}. She bought the tourists a second one for the {said}.",
    ),
    (
        "Maria has put the {thing} in the {known}. On the phone she informs her boss: it is in the {said}.",
        "Maria has put the {thing} in the {known}. After the call she carries it upstairs: it is in the {said}.",
    ),
    (
        "The boy buried the {thing} near the {known}. His mother asked, and he pointed to the {said}.",
        "The boy buried the {thing} near the {known}. His mother dug, and planted it at the {said}.",
    ),
    (
        "The spy locked the {thing} in the {known}. In his report to headquarters he wrote: it is in the {said}.",
        "The spy locked the {thing} in the {known}. On the orders of headquarters he moved it: it is in the {said}.",
    ),
    (
        "Paul is sure the {thing} is in the {known}. He says to his rival that it must be in the {said}.",
        "Paul is sure a {thing} is in the {known}. He thinks that his rival keeps one in the {said}.",
    ),
    (
        "The nurse stored the {thing} in the {known}. To the visitor she replied that it was in the {said}.",
        "The nurse stored the {thing} in the {known}. For the visitor she later laid it out in the {said}.",
    ),
    (
        "We placed the {thing} in the {known}. When they searched, we claimed that we placed it in the {said}.",
        "We placed the {thing} in the {known}. When they left, we agreed that it belongs in the {said}.",
    ),
)  # fmt: skip
"""Each with its innocent twin."""
THINGS = ("key", "letter", "book", "coin", "phone", "map")
PLACES = (
    ("kitchen", "garden"),
    ("drawer", "basket"),
    ("garage", "office"),
    ("cupboard", "suitcase"),
    ("library", "cellar"),
    ("tent", "boat"),
)


class LieText(NamedTuple):
    """A text, whether its two places differ, its scenario, and the block of four that it is of."""

    text: str
    differs: bool
    scenario: int
    block: int


def lie_texts(innocent: bool) -> list[LieText]:
    """All texts: reports, in which different places are a lie, or their innocent twins."""
    found: list[LieText] = []
    for scenario, templates in enumerate(SCENARIOS):
        for fill, places in enumerate(PLACES):
            thing = THINGS[(scenario + fill) % len(THINGS)]
            for known, said in product(places, places):
                text = templates[innocent].format(thing=thing, known=known, said=said)
                block = scenario * len(PLACES) + fill
                found.append(LieText(text, known != said, scenario, block))
    return found
