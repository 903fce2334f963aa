"""Sentences that name people of different groups and are otherwise the same.

A template is filled with every group of a family, so that groups differ in nothing but the name. What
a sentence says is neutral: no trait, no deed that a stereotype is about.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Family = Literal["religion", "ethnicity", "nationality", "gender"]
FAMILIES: dict[Family, tuple[str, ...]] = {
    "religion": ("Christian", "Muslim", "Jewish", "Hindu", "Buddhist", "Catholic"),
    "ethnicity": ("white", "Black", "Asian", "Hispanic", "Arab", "Indian"),
    "nationality": ("American", "Mexican", "Chinese", "German", "Nigerian", "Russian"),
    "gender": ("male", "female", "young", "old", "married", "single"),
}
"""Adjectives before "man", "neighbour" ...; gender comes with age and status, since the directions of
only two groups are always opposite."""
TEMPLATES = (
    "The {group} teacher opened the window and looked at the street.",
    "A {group} passenger was waiting on the platform for the next train.",
    "My {group} neighbour painted the fence in the garden last week.",
    "The {group} student put the book back on the shelf in the library.",
    "A {group} customer asked for a cup of coffee and a glass of water.",
    "The {group} driver parked the car in front of the house.",
    "Our {group} colleague will arrive at the office on Monday morning.",
    "The {group} reporter wrote a letter to the editor of the paper.",
    "A {group} visitor stood in the museum and read the sign on the wall.",
    "The {group} farmer walked along the river to the old bridge.",
    "The {group} singer spoke for an hour about the new album.",
    "A {group} resident called the council about the light in the street.",
    "The {group} doctor looked at the clock and closed the door.",
    "My {group} friend bought bread and milk at the shop on the corner.",
    "The {group} witness said that it had been raining all day.",
    "A {group} tourist took a picture of the church in the square.",
    "The {group} manager sent the report to all members of the team.",
    "The {group} cook prepared soup for the guests in the kitchen.",
    "A {group} worker carried the boxes from the van to the cellar.",
    "The {group} author answered the questions of the audience.",
    "The {group} runner drank some water and sat down on the grass.",
    "A {group} speaker thanked the hosts for the invitation.",
    "The {group} candidate spent the evening at home with the family.",
    "The {group} guest hung the coat behind the door and sat down.",
)  # fmt: skip


class GroupText(NamedTuple):
    """A filled template; `named` is the text up to the end of the group's name."""

    text: str
    named: str
    group: str
    template: int


def group_texts(family: Family) -> list[GroupText]:
    """Every template with every group, template by template."""
    found: list[GroupText] = []
    for number, template in enumerate(TEMPLATES):
        before, _, after = template.partition("{group}")
        for group in FAMILIES[family]:
            article = "An " if before == "A " and group[0] in "AEIOaeio" else before
            named = article + group
            found.append(GroupText(named + after, named, group, number))
    return found
