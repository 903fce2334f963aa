"""Capability: which tasks can a subject do, beyond chance and beyond what the form gives away?

1. Prompts of several tasks with a right and a wrong option (`circuits/tasks`, discovery half).
2. Accuracy: the share of prompts after which the right option is the more likely one. Chance is one
   half.
3. Length-matched control: the same options after another prompt of the task with as many tokens (or
   the nearest number), of another group and whatever its answer is. It keeps length, form and how
   common the options are, and takes away the question. A prompt chosen for another answer would ask
   for the wrong option wherever a task has two answers, and be beaten too easily.
4. Claims for each task: accuracy is above chance, and above the control on the same options. All
   intervals, over groups of prompts, hold together at 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ...evals.statistics.grouped import LEAST_GROUPS, count_groups, mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level, paired
from .choice_prompts import to_arrays

if TYPE_CHECKING:
    from ...tools.behaviour.choices import ChoicePrompt
    from ...tools.subject import Subject
    from ..measurements import Measured

CHANCE = 0.5
DEFAULT_TASKS = ("sva", "sva-attractor", "capital", "antonym", "successor", "pronoun")


class AnsweredTask(NamedTuple):
    """Whether each prompt was answered rightly, after itself and after the control's prompt."""

    right: np.ndarray
    control: np.ndarray
    groups: Sequence[str]


@study(
    "capability", question="Which tasks can the subject do, beyond chance and beyond their form?"
)
def capability(
    study: StudyContext,
    tasks: Annotated[
        tuple[str, ...], Field(min_length=1, description="tasks or tables of pairs")
    ] = (DEFAULT_TASKS),
    prompts: Annotated[int, Field(ge=LEAST_GROUPS, le=5000)] = 60,
    seed: int = 0,
) -> StudyResult:
    """Measure accuracy on tasks against chance and against the same options after other questions."""
    answered: dict[str, AnsweredTask] = {}
    for number, task in enumerate(tasks):
        study.progress("tasks", number, len(tasks))
        measured = study.measured(
            f"task-{number}", lambda task=task: measure_task(study.subject, task, prompts, seed)
        )
        right, control = measured["margin"] > 0, measured["control"] > 0
        answered[task] = AnsweredTask(right, control, measured["group"].tolist())
    return conclude(answered, seed)


def measure_task(subject: Subject, task: str, n: int, seed: int) -> Measured:
    """Margins of the right option after each prompt and after its length-matched control."""
    from ...tools.behaviour.choices import margins, option_log_probs, task_choices

    prompts = task_choices(subject, task, n, seed)
    length = [len(subject.tokenize(prompt.text).ids) for prompt in prompts]
    others = length_matched(prompts, length, seed)
    asked = [replace(p, text=prompts[other].text) for p, other in zip(prompts, others, strict=True)]
    own, control = (
        margins(option_log_probs(subject, each), [prompt.answer for prompt in prompts])
        for each in (prompts, asked)
    )
    return {**to_arrays(prompts, own.tolist()), "control": control}


def length_matched(prompts: Sequence[ChoicePrompt], length: Sequence[int], seed: int) -> list[int]:
    """For each prompt another one, of another group if there is any, the nearest in length."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for number, prompt in enumerate(prompts):
        others = [n for n in rng.permutation(len(prompts)).tolist() if n != number]
        pool = [n for n in others if prompts[n].group != prompt.group] or others
        chosen.append(min(pool, key=lambda n: abs(length[n] - length[number])) if pool else number)
    return chosen


def conclude(answered: Mapping[str, AnsweredTask], seed: int = 0) -> StudyResult:
    """Two claims and a row for each task."""
    level = joint_level(2 * len(answered))
    claims: list[StudyClaim] = []
    rows: list[dict[str, object]] = []
    accuracies: list[Interval] = []
    for task, each in answered.items():
        n = count_groups(each.groups, len(each.groups))
        right, control = each.right.astype(float), each.control.astype(float)
        accuracy = mean_over_groups(right, each.groups, level=level, seed=seed)
        beyond_chance = f"{task}: accuracy is above chance"
        beyond_form = f"{task}: accuracy is above that after another question of the same length"
        if n < LEAST_GROUPS:
            why = f": {n} groups, and an interval needs {LEAST_GROUPS}"
            claims.append(cannot_say(beyond_chance + why, n, accuracy.value))
        else:
            claims.append(above(beyond_chance, accuracy, CHANCE, n))
        claims.append(paired(beyond_form, right, control, each.groups, level=level, seed=seed))
        shown = mean_over_groups(right, each.groups, seed=seed)
        accuracies.append(shown)
        rows.append(
            {
                "task": task,
                "accuracy": shown.value,
                "low": shown.low,
                "high": shown.high,
                "length-matched": float(control.mean()),
                "prompts": len(right),
                "groups": n,
            }
        )
    chart = BarChart(
        "accuracy",
        "Accuracy by task, and after another question of the same length",
        "accuracy",
        list(answered),
        *zip(*accuracies, strict=True),
        control=[float(each.control.mean()) for each in answered.values()],
    )
    return StudyResult(rows, claims, [chart])
