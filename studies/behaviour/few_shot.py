"""Few-shot: does a subject learn from solved examples in its prompt, or only from their form?

1. Prompts of a task with a right and a wrong option (`circuits/tasks`, discovery half).
2. Accuracy with 0, 1, 2, 4 and 8 shots of other groups: the share of prompts after which the right
   option is the more likely one.
3. Control: the same shots with each other's answers. What a subject gains from those is the form.
4. Claims: with the most shots accuracy is above that without shots; and right answers in the shots
   are worth more than shuffled ones. Both compare the same prompts; intervals are over groups.

Brown et al. 2020; the control is that of Min et al. 2022 ("Rethinking the Role of Demonstrations").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import LEAST_GROUPS, mean_over_groups
from ...tools.behaviour.shots import Answers
from ...tools.errors import UsageError
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import joint_level, paired
from .choice_prompts import to_arrays, to_prompts

if TYPE_CHECKING:
    from ...tools.behaviour.choices import ChoicePrompt
    from ...tools.subject import Subject
    from ..measurements import Measured


SHOTS = (0, 1, 2, 4, 8)
KINDS: tuple[Answers, ...] = ("right", "shuffled")


@study("few-shot", question="Does the subject learn from examples in its prompt?")
def few_shot(
    study: StudyContext,
    task: Annotated[
        str, Field(description="task of prompts, or a table of pairs")
    ] = "sva-attractor",
    prompts: Annotated[int, Field(ge=2 * LEAST_GROUPS, le=1000)] = 40,
    shots: Annotated[tuple[int, ...], Field(min_length=2, description="0 must be one")] = SHOTS,
    seed: int = 0,
) -> StudyResult:
    """Measure accuracy against the number of solved examples, with right and with shuffled answers."""
    if 0 not in shots or min(shots) < 0:
        raise UsageError(
            f"shots {shots} given; give 0, which all others are compared with, and more"
        )
    drawn = study.measured("prompts", lambda: measure_prompts(study.subject, task, prompts, seed))
    asked = [prompt for prompt, _ in to_prompts(drawn)]
    margins: dict[Answers, dict[int, np.ndarray]] = {kind: {} for kind in KINDS}
    counts = sorted(set(shots))
    for number, count in enumerate(counts):
        study.progress("shots", number, len(counts))
        for kind in KINDS if count else KINDS[:1]:
            measured = study.measured(
                f"{kind}-{count}",
                lambda count=count, kind=kind: measure_shots(
                    study.subject, asked, count, kind, seed
                ),
            )
            margins[kind][count] = measured["margin"]
    margins["shuffled"][0] = margins["right"][0]
    groups = [prompt.group for prompt in asked]
    return conclude(margins["right"], margins["shuffled"], groups, seed)


def measure_prompts(subject: Subject, task: str, n: int, seed: int) -> Measured:
    """Prompts of the task; their margins are measured with the shots."""
    from ...tools.behaviour.choices import task_choices

    prompts = task_choices(subject, task, n, seed)
    return to_arrays(prompts, [0.0] * len(prompts))


def measure_shots(
    subject: Subject, prompts: Sequence[ChoicePrompt], shots: int, answers: Answers, seed: int
) -> Measured:
    """The margin of each prompt's right option after so many shots."""
    from ...tools.behaviour.choices import margins, option_log_probs
    from ...tools.behaviour.shots import with_shots

    asked = with_shots(prompts, shots, answers=answers, seed=seed)
    values = option_log_probs(subject, asked)
    return {"margin": margins(values, [prompt.answer for prompt in asked])}


def conclude(
    right: Mapping[int, np.ndarray],
    shuffled: Mapping[int, np.ndarray],
    groups: Sequence[str],
    seed: int = 0,
) -> StudyResult:
    """Two claims, a row for each number of shots, and both curves."""
    counts = sorted(right)
    most, level = counts[-1], joint_level(2)
    score = {count: (right[count] > 0).astype(float) for count in counts}
    control = {count: (shuffled[count] > 0).astype(float) for count in counts}
    controls = {
        f"{most} shots answer more prompts rightly than none": score[0],
        f"right answers in {most} shots are worth more than shuffled ones": control[most],
    }
    claims = [
        paired(claim, score[most], other, groups, level=level, seed=seed)
        for claim, other in controls.items()
    ]
    rows = []
    for count in counts:
        value, low, high = mean_over_groups(score[count], groups, seed=seed)
        rows.append(
            {
                "shots": count,
                "accuracy": value,
                "low": low,
                "high": high,
                "shuffled answers": float(control[count].mean()),
                "margin": float(right[count].mean()),
                "prompts": len(groups),
            }
        )
    accuracy, low, high, shuffled_accuracy = (
        [row[name] for row in rows] for name in ("accuracy", "low", "high", "shuffled answers")
    )
    lines = [
        PlottedLine("right answers", counts, accuracy, low, high),
        PlottedLine("shuffled answers", counts, shuffled_accuracy, is_control=True),
    ]
    title = "Accuracy against solved examples in the prompt"
    return StudyResult(rows, claims, [LinePlot("curve", title, "shots", "accuracy", lines)])
