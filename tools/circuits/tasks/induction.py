"""Induction on random words (Olsson et al. 2022): what followed a word before follows it again."""

from __future__ import annotations

from ...errors import UsageError
from .task import Draw, Example, task, twin_prompts

LENGTH, REPEATED = 8, 4
"""Words of the first copy; words of it that the prompt repeats, the last of which is the answer."""


@task("induction", "a row of random words goes on as it did the first time")
def induction(draw: Draw) -> Example:
    """Clean: "A B C D E F G H A B C" -> D; the twin has another word in place of the D."""
    if len(draw.own_half(draw.lexicon)) <= LENGTH:
        raise UsageError(
            "the subject's vocabulary has too few words of one token for rows of random words"
        )
    *row, other = draw.sample(draw.lexicon, LENGTH + 1)
    # 1. Slots w0 ... w7 for the first copy, again0 ... again2 for the second.
    first_copy = [f"w{index}" for index in range(LENGTH)]
    second_copy = [f"again{index}" for index in range(REPEATED - 1)]
    template = "".join(f" {{{name}}}" for name in (*first_copy, *second_copy))
    slots = dict(zip(first_copy, row, strict=True)) | dict(zip(second_copy, row, strict=False))
    # 2. The twin changes the word that the answer repeats.
    answer, before = first_copy[REPEATED - 1], first_copy[REPEATED - 2]
    example = twin_prompts(
        template,
        slots,
        {answer: other},
        [f" {slots[answer]}"],
        [f" {other}"],
        [f" {word}" for word in (*row, other)],
    )
    marks = {"answer": example.marks[answer], "before": example.marks[before]}
    return example._replace(marks=marks)
