"""Greater-than (Hanna et al. 2023): an event ends in a later year than it began.

For tokenizers that make each digit a token.
"""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts, words

NOUNS = words(
    "war strike siege plague voyage project reign drought famine journey campaign dispute conflict trial"
)
CENTURIES = words("17 18 15 16 14 13")
TEMPLATES = (
    "The {noun} lasted from the year {century}{tens}{units} to the year {century}",
    "The {noun} began in {century}{tens}{units} and it ended in {century}",
    "There was a {noun} from {century}{tens}{units} until {century}",
    "They say that the {noun} went on from {century}{tens}{units} to {century}",
)


@task("greater-than", "a later year: a tens digit above that of the first year")
def greater_than(draw: Draw) -> Example:
    """Clean: "from the year 1753 to the year 17" -> 6, 7, 8 or 9, not 0 to 4; the twin begins in 1703."""
    tens = draw.rng.randint(2, 7)
    slots = {
        "noun": draw.choice(NOUNS),
        "century": draw.choice(CENTURIES),
        "tens": str(tens),
        "units": str(draw.rng.randint(2, 9)),
    }
    later = [str(digit) for digit in range(tens + 1, 10)]
    earlier = [str(digit) for digit in range(tens)]
    return twin_prompts(draw.choice(TEMPLATES), slots, {"tens": "0"}, later, earlier)
