"""The concepts in an experimenter's instructions: every family that there is, one line each.

Families that need an example have a hint here; any other is described by its own class, so that a new
one is in the instructions by itself.
"""

from __future__ import annotations

from functools import cache

from ....tools.dissection.concept_help import FamilyHelp, family_help

HINTS = {
    "after": "after(C) right after C",
    "both": "both(C, D) at once; counts as two",
    "family": 'family("decide") with decision, decisive',
    "induction": "induction() after a token that was seen before",
    "kind_of": 'kind_of("animal"), kind_of("travel v") a noun or verb class of WordNet',
    "lemma": 'lemma("play") a word in all its forms',
    "letters": 'letters("least"|"most", 8)',
    "near": 'near(40, "squad", "team") the 12, 40, 120 or 360 words most like these',
    "position": "position(0, 8) of the context",
    "prefix": 'prefix("un")',
    "rank": 'rank("rare", 10) beyond the 10,000 commonest tokens, rank("common", 2)',
    "recent": "recent(5, C) C in the 5 tokens before",
    "since": "since(C) C anywhere before",
    "suffix": 'suffix("ing")',
    "token": 'token(" Mr") one exact token',
    "words": 'words("says", "ing") words or pieces of words, any casing, in lower case',
}
"""Family to its usage by example."""
SHOWN = 6
"""Names of a family that are listed; `concepts` gives the others."""
LONGEST = 100
"""Characters of a class's own description."""


@cache
def concept_list() -> str:
    """A line for each family of concepts."""
    return "\n".join(_line(family) for family in family_help())


def _line(family: FamilyHelp) -> str:
    if family.family in HINTS:
        return HINTS[family.family]
    if family.names:
        spread = family.names[:: -(-len(family.names) // SHOWN)]
        shown = "|".join(f'"{name}"' for name in spread)
        more = f"|... {len(family.names)} names" if len(family.names) > SHOWN else ""
        return f"{family.family}({shown}{more})"
    what = family.what.replace("`", "").split(". ")[0].removesuffix(".")
    return f"{family.usage} {what[:LONGEST]}"
