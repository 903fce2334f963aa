"""Successor: the next of a row of months, letters, numbers or ordinals.

Discovery has the first half of each row; neighbours must stay together, so every second entry would
not do.
"""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts

ROWS = tuple(
    tuple(row.split())
    for row in (
        "January February March April May June July August September October November December",
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
        "one two three four five six seven eight nine ten eleven twelve",
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
    )
)
TEMPLATES = (
    "{a}, {b}, {c},",
    "Count on: {a}, {b}, {c},",
    "The row goes {a}, {b}, {c},",
    "In order: {a}, {b}, {c},",
)


@task("successor", "the next of a row")
def successor(draw: Draw) -> Example:
    """Clean: "Count on: two, three, four," -> five; the twin's row begins elsewhere."""
    row = draw.rng.choice(ROWS)
    middle = len(row) // 2
    half = row[:middle] if draw.part == "discovery" else row[middle:]
    start, other = draw.rng.sample(range(len(half) - 3), 2)
    slots = dict(zip("abc", half[start:], strict=False))
    changed = dict(zip("abc", half[other:], strict=False))
    return twin_prompts(
        draw.choice(TEMPLATES), slots, changed, [f" {half[start + 3]}"], [f" {half[other + 3]}"]
    )
