"""Prompts of a study, kept with its measurements so that a replay knows them too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...tools.errors import UsageError

if TYPE_CHECKING:
    from ...tools.behaviour.choices import ChoicePrompt
    from ..measurements import Measured
    from ..study_context import StudyContext

COLUMNS = ("text", "right", "wrong", "group", "decisive")
SEPARATOR = "\x1f"
"""Between the decisive words of a prompt in its array."""


class AnsweredPrompts(NamedTuple):
    """Prompts that the subject answers rightly, and how many others were drawn."""

    prompts: list[ChoicePrompt]
    n_wrong: int

    def require(self, least: int, what: str) -> None:
        """Raise UsageError for fewer than an interval needs."""
        n_groups = len({prompt.group for prompt in self.prompts})
        if n_groups < least:
            raise UsageError(
                f"the subject is right on {len(self.prompts)} of "
                f"{len(self.prompts) + self.n_wrong} prompts, of {n_groups} groups, and {what} needs "
                f"{least} groups: ask for more prompts, or choose a task that it can do"
            )


def answered_prompts(study: StudyContext, task: str, n: int, seed: int) -> AnsweredPrompts:
    """Prompts of a task which the subject answers rightly: of others nothing can be changed."""
    prompts = to_prompts(study.measured("prompts", lambda: _measure(study, task, n, seed)))
    right = [prompt for prompt, margin in prompts if margin > 0]
    return AnsweredPrompts(right, len(prompts) - len(right))


def to_arrays(prompts: Sequence[ChoicePrompt], margins: Sequence[float]) -> Measured:
    """Prompts with two options, the right one first, as arrays."""
    rows = [
        (
            prompt.text,
            prompt.options[prompt.answer],
            prompt.options[1 - prompt.answer],
            prompt.group,
            SEPARATOR.join(prompt.decisive),
        )
        for prompt in prompts
    ]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    measured = dict(zip(COLUMNS, columns, strict=True))
    return {**measured, "margin": np.array(margins, dtype=np.float64)}


def to_prompts(measured: Measured) -> list[tuple[ChoicePrompt, float]]:
    """The inverse."""
    from ...tools.behaviour.choices import ChoicePrompt

    columns = (measured[name].tolist() for name in COLUMNS)
    prompts = [
        ChoicePrompt(text, (right, wrong), 0, group, tuple(filter(None, decisive.split(SEPARATOR))))
        for text, right, wrong, group, decisive in zip(*columns, strict=True)
    ]
    return list(zip(prompts, measured["margin"].tolist(), strict=True))


def _measure(study: StudyContext, task: str, n: int, seed: int) -> Measured:
    from ...tools.behaviour.choices import margins, option_log_probs, task_choices

    prompts = task_choices(study.subject, task, n, seed)
    values = option_log_probs(study.subject, prompts)
    return to_arrays(prompts, margins(values, [prompt.answer for prompt in prompts]).tolist())
