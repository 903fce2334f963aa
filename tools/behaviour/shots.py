"""Prompts that show solved examples before they ask.

1. A shot is another prompt with its right answer; shots are separated by a line end.
2. Shots of a question are drawn from prompts of other groups, so that no answer can be copied from a
   shot that asks the same.
3. The control keeps the shots and gives each the answer of another one: what is left is the form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ..errors import UsageError
from .choices import ChoicePrompt

Answers = Literal["right", "shuffled"]


def with_shots(
    prompts: Sequence[ChoicePrompt],
    shots: int,
    *,
    answers: Answers = "right",
    seed: int = 0,
) -> list[ChoicePrompt]:
    """Each prompt with so many solved examples before it; 0 leaves it as it is.

    Args:
        answers: "shuffled" gives each shot the answer of the next one (with one shot, the answer of
            a prompt that is not shown).

    Raises:
        UsageError: there are fewer other prompts than shots.
    """
    rng = np.random.default_rng(seed)
    shown: list[ChoicePrompt] = []
    for prompt in prompts:
        others = [other for other in prompts if other.group != prompt.group]
        if len(others) < shots + 1:
            raise UsageError(
                f"{shots} shots and one to shuffle with needed; {prompt.text[:40]!r} has "
                f"{len(others)} prompts of other groups: ask for fewer shots or more prompts"
            )
        drawn = [others[place] for place in rng.permutation(len(others))[: shots + 1]]
        examples, spare = drawn[:shots], drawn[shots]
        given = [example.options[example.answer] for example in examples]
        if answers == "shuffled" and given:
            given = shuffled_answers(given, spare.options[spare.answer])
        lines = [example.text + answer for example, answer in zip(examples, given, strict=True)]
        shown.append(replace(prompt, text="\n".join([*lines, prompt.text])))
    return shown


def shuffled_answers(answers: Sequence[str], spare: str) -> list[str]:
    """Each answer replaced by the next one's, the last by the first; a single one by the spare."""
    return [*answers[1:], answers[0]] if len(answers) > 1 else [spare]
