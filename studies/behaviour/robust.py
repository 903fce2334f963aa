"""Robustness: how often changes that should not matter change the subject's answer.

1. Prompts of a task that the subject answers rightly.
2. Each is perturbed: typos, case, paraphrase, order of words (`tools/behaviour/perturbations`),
   several times with other draws.
3. Flip: the subject prefers the wrong option afterwards. KL: of its next-token distribution, from
   the original's to the perturbed prompt's, in nats.
4. Control: a word that says nothing before the prompt. Any change moves a prediction; the claim is
   that a perturbation flips more answers than that one, on the same prompts.
5. Intervals over prompts that share their deciding words; four claims, so each at 98.75 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import LEAST_GROUPS, mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import cannot_say, joint_level, paired
from .choice_prompts import answered_prompts

if TYPE_CHECKING:
    from ...tools.behaviour.choices import ChoicePrompt
    from ...tools.subject import Subject
    from ..measurements import Measured

CONTROL = "opening"
CLAIMS = {
    "typo": "a typo changes answers more often than a word that says nothing does",
    "case": "other capitals change answers more often than a word that says nothing does",
    "paraphrase": "a paraphrase changes answers more often than a word that says nothing does",
    "order": "another order of words changes answers more often than a word that says nothing does",
}


class Perturbed(NamedTuple):
    """One kind of perturbation, one entry a prompt; NaN where it does not apply.

    Attributes:
        flips: share of the draws that change the answer; `kl`: mean over draws, nats.
    """

    flips: np.ndarray
    kl: np.ndarray


@study("robust", question="Do changes that should not matter change the answer?")
def robust(
    study: StudyContext,
    task: Annotated[str, Field(description="task of prompts, or a table of pairs")] = "capital",
    prompts: Annotated[int, Field(ge=LEAST_GROUPS, le=1000)] = 40,
    draws: Annotated[int, Field(ge=1, le=20, description="versions of each perturbation")] = 3,
    seed: int = 0,
) -> StudyResult:
    """Measure how often typos, capitals, paraphrases and the order of words change an answer.

    The flip rate of each kind is held against that of an opening word that says nothing.
    """
    answered = answered_prompts(study, task, prompts, seed)
    answered.require(LEAST_GROUPS, "an interval")
    kinds = [*CLAIMS, CONTROL]
    measured: dict[str, Measured] = {}
    for number, kind in enumerate(kinds):
        study.progress("perturbations", number, len(kinds))
        measured[kind] = study.measured(
            kind,
            lambda kind=kind: measure_kind(study.subject, answered.prompts, kind, draws, seed),
        )
    figures = {kind: Perturbed(each["flips"], each["kl"]) for kind, each in measured.items()}
    groups = [prompt.group for prompt in answered.prompts]
    return conclude(figures, groups, seed, _rows(answered.prompts, measured))


def measure_kind(
    subject: Subject, prompts: Sequence[ChoicePrompt], kind: str, draws: int, seed: int
) -> Measured:
    """Flips and KL of each prompt, and one perturbed text to show."""
    from ...tools.behaviour import next_token_log_probs
    from ...tools.behaviour.perturbations import PERTURBATIONS
    from ...tools.behaviour.word_edits import measure_margins

    perturb = PERTURBATIONS[kind]
    flips, kls, shown = list[float](), list[float](), list[str]()
    for number, prompt in enumerate(prompts):
        rng = np.random.default_rng([seed, number])
        drawn = [perturb(prompt.text, rng) for _ in range(draws)]
        texts = list(dict.fromkeys(text for text in drawn if text))
        shown.append(texts[0] if texts else "")
        if not texts:
            flips.append(np.nan)
            kls.append(np.nan)
            continue
        margins = np.array(measure_margins(subject, prompt, texts))
        ids = [subject.tokenize(text).ids for text in (prompt.text, *texts)]
        log_probs = next_token_log_probs(subject, ids).astype(np.float64)
        before, after = log_probs[0], log_probs[1:]
        kl = (np.exp(before) * (before - after)).sum(axis=1)
        flips.append(float((margins < 0).mean()))
        kls.append(float(np.maximum(kl, 0).mean()))  # below 0 only by rounding
    return {"flips": np.array(flips), "kl": np.array(kls), "shown": np.array(shown, "U")}


def conclude(
    figures: Mapping[str, Perturbed],
    groups: Sequence[str],
    seed: int = 0,
    rows: Sequence[dict[str, Any]] = (),
) -> StudyResult:
    """One claim for each kind, against the control on the same prompts."""
    level = joint_level(len(CLAIMS))
    claims: list[StudyClaim] = []
    for kind, claim in CLAIMS.items():
        applies = ~np.isnan(figures[kind].flips)
        names = [group for group, used in zip(groups, applies, strict=True) if used]
        if not names:
            claims.append(cannot_say(f"{claim}: it applies to no prompt", 0))
            continue
        flips, control = figures[kind].flips[applies], figures[CONTROL].flips[applies]
        claims.append(paired(claim, flips, control, names, level=level, seed=seed))
    return StudyResult(rows, claims, _figures(figures, groups, seed))


def _figures(figures: Mapping[str, Perturbed], groups: Sequence[str], seed: int) -> list[BarChart]:
    charts: list[BarChart] = []
    for field, title, label in (
        ("flips", "Answers changed by a perturbation", "share of answers"),
        ("kl", "Change of the next-token distribution", "KL, nats"),
    ):
        names, intervals = list[str](), list[Any]()
        for kind, each in figures.items():
            values = getattr(each, field)
            applies = ~np.isnan(values)
            if applies.any():
                used = [group for group, kept in zip(groups, applies, strict=True) if kept]
                names.append(kind)
                intervals.append(mean_over_groups(values[applies], used, seed=seed))
        value, low, high = zip(*intervals, strict=True)
        charts.append(BarChart(field, title, label, names, value, low, high))
    return charts


def _rows(
    prompts: Sequence[ChoicePrompt], measured: Mapping[str, Measured]
) -> list[dict[str, Any]]:
    """One for each prompt and kind."""
    return [
        {
            "prompt": prompt.text,
            "kind": kind,
            "perturbed": str(each["shown"][number]),
            "flips": None if np.isnan(each["flips"][number]) else float(each["flips"][number]),
            "kl": None if np.isnan(each["kl"][number]) else float(each["kl"][number]),
        }
        for number, prompt in enumerate(prompts)
        for kind, each in measured.items()
    ]
