"""Induction on random words (Olsson et al. 2022): what followed a word before follows it again."""

from __future__ import annotations

from ...errors import UsageError
from .task import Draw, Example, task, twin_prompts

LENGTH, REPEATED = 8, 4
"""Words of the first copy, and of the second, which breaks off where the answer would stand."""


@task("induction", "a row of random words goes on as it did the first time")
def induction(draw: Draw) -> Example:
    """Clean: "A B C D E F G H A B C" -> D; the twin has another word in the place of the first D."""
    if len(draw.half(draw.lexicon)) <= LENGTH:
        raise UsageError(
            "the subject's vocabulary has too few words of one token for rows of random words"
        )
    *row, other = draw.sample(draw.lexicon, LENGTH + 1)
    names = [f"w{at}" for at in range(LENGTH)]
    answer, before = names[REPEATED - 1], names[REPEATED - 2]
    template = " ".join(f"{{{name}}}" for name in names)
    template += "".join(f" {{again{at}}}" for at in range(REPEATED - 1))
    slots = dict(zip(names, row, strict=True)) | {
        f"again{at}": row[at] for at in range(REPEATED - 1)
    }
    target = row[REPEATED - 1]
    example = twin_prompts(
        f" {template}",
        slots,
        {answer: other},
        [f" {target}"],
        [f" {other}"],
        [f" {word}" for word in (*row, other)],
    )
    return example._replace(
        marks={"answer": example.marks[answer], "before": example.marks[before]}
    )
