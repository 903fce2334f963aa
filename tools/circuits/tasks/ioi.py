"""Indirect object identification (Wang et al. 2023): the name that was mentioned once receives."""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts, words

NAMES = words(
    "Mary John Tom James Sarah Anna Paul Mark Lisa Peter Kate Jack Emma David Laura Michael Alice Robert Jane Daniel "
    "Susan Andrew Julia George Helen Simon Rachel Kevin Linda Adam Rose Brian Amy Henry Grace Martin Ruth Frank Claire "
    "Alex"
)
PLACES = words(
    "store park school office market station library garden museum hospital beach church"
)
THINGS = words("drink book ring letter kiss gift ball pen key note card map")
TEMPLATES = (
    "Then, {A} and {B} went to the {place}. {S2} gave a {thing} to",
    "When {A} and {B} came back from the {place}, {S2} handed a {thing} to",
    "Afterwards {A} and {B} met at the {place}, and {S2} decided to give a {thing} to",
    "While {A} and {B} were working at the {place}, {S2} passed a {thing} to",
    "After {A} and {B} had a long talk at the {place}, {S2} gave a {thing} to",
    "Yesterday {A} and {B} walked to the {place}. {S2} offered a {thing} to",
    "Today {A} and {B} sat down in the {place}, where {S2} showed a {thing} to",
    "In the evening {A} and {B} arrived at the {place}, and {S2} brought a {thing} to",
    "As {A} and {B} were leaving the {place}, {S2} threw a {thing} to",
    "While I was with {A} and {B} at the {place}, {S2} lent a {thing} to",
    "My friends {A} and {B} spent the afternoon at the {place}. {S2} sent a {thing} to",
    "The teachers {A} and {B} looked around the {place}. {S2} sold a {thing} to",
)


@task("ioi", "who receives: the name that was said once")
def ioi(draw: Draw) -> Example:
    """Clean: "... Mary and John ... John gave a drink to" -> Mary; in the twin, Mary gives."""
    receiver, giver = draw.pair(NAMES)
    first, second = draw.rng.choice(((receiver, giver), (giver, receiver)))
    slots = {
        "A": first,
        "B": second,
        "S2": giver,
        "place": draw.choice(PLACES),
        "thing": draw.choice(THINGS),
    }
    example = twin_prompts(
        draw.choice(TEMPLATES),
        slots,
        {"S2": receiver},
        [f" {receiver}"],
        [f" {giver}"],
        [f" {word}" for word in slots.values()],
    )
    # The field calls the receiver IO, and the two mentions of the giver S1 and S2.
    receiver_slot, giver_slot = ("A", "B") if first == receiver else ("B", "A")
    marks = {
        "IO": example.marks[receiver_slot],
        "S1": example.marks[giver_slot],
        "S2": example.marks["S2"],
    }
    return example._replace(marks=marks)
