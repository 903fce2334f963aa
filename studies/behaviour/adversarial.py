"""Adversarial: how few swapped or deleted tokens change, or keep, the subject's answer.

1. Prompts of a task that the subject answers rightly.
2. Swaps: the gradient ranks all swaps of one token for another word, and the best guesses are read by
   the subject (`tools/behaviour/hotflip`). Control: as many swaps drawn at random, the best kept.
3. The estimate itself is held against the measured change of the randomly drawn swaps, which the
   estimate did not choose. Control: the same estimates shuffled.
4. Input reduction: tokens are deleted one by one while the next token stays the same
   (`tools/behaviour/input_reduction`). Control: deletions drawn at random among those that keep it.
5. Intervals over prompts that share their deciding words.

It measures how fragile answers are, so that a weakness is known before others find it. The swaps are
particular to one subject and prompt, and nobody would take the texts for natural.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import LEAST_GROUPS, mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import below, joint_level, paired
from .choice_prompts import answered_prompts

if TYPE_CHECKING:
    from ...tools.behaviour.choices import ChoicePrompt
    from ...tools.subject import Subject
    from ..measurements import Measured

ONE_SWAP = "one swap chosen by gradient changes the answer more often than one chosen at random"
ESTIMATE = "the gradient's estimate ranks swaps as their measured effects do, better than shuffled"
REDUCED = "a smaller share of a prompt's tokens keeps the answer than random deletions leave"
COLUMNS = ("flipped", "random_flipped", "correlation", "shuffled", "kept", "random_kept")


@study("adversarial", question="How few tokens must change before the answer does?")
def adversarial(
    study: StudyContext,
    task: Annotated[str, Field(description="task of prompts, or a table of pairs")] = "sva",
    prompts: Annotated[int, Field(ge=LEAST_GROUPS, le=500)] = 24,
    verified: Annotated[int, Field(ge=4, le=256, description="swaps read at each step")] = 24,
    most_swaps: Annotated[int, Field(ge=1, le=5)] = 2,
    seed: int = 0,
) -> StudyResult:
    """Measure how few tokens have to be swapped to change an answer, and how few are enough to keep it.

    For testing a subject's robustness before it is relied on. Every figure is measured by passes of
    the subject; the gradient only chooses what is tried.
    """
    answered = answered_prompts(study, task, prompts, seed)
    answered.require(LEAST_GROUPS, "an interval")
    measured: list[Measured] = []
    for number, prompt in enumerate(answered.prompts):
        study.progress("prompts", number, len(answered.prompts))
        measured.append(
            study.measured(
                f"attack-{number}",
                lambda prompt=prompt, number=number: measure_attack(
                    study.subject, prompt, verified, most_swaps, seed + number
                ),
            )
        )
    rows = [row_of(*each) for each in zip(answered.prompts, measured, strict=True)]
    figures = {column: np.array([float(each[column]) for each in measured]) for column in COLUMNS}
    return conclude(figures, [prompt.group for prompt in answered.prompts], rows, seed)


def measure_attack(
    subject: Subject, prompt: ChoicePrompt, verified: int, most_swaps: int, seed: int
) -> Measured:
    """Swaps by gradient and at random, and what is left of the prompt both ways."""
    from ...tools.behaviour.hotflip import attack_by_swaps, word_tokens
    from ...tools.behaviour.input_reduction import reduce_prompt

    question = question_of(subject, prompt)
    words = word_tokens(subject)
    by_gradient = attack_by_swaps(
        subject, question, words, most_swaps=most_swaps, verified=verified, seed=seed
    )
    at_random = attack_by_swaps(
        subject, question, words, most_swaps=1, verified=verified, order="random", seed=seed
    )
    best, random = (
        reduce_prompt(subject, question.ids, choice=choice, seed=seed)
        for choice in ("best", "random")
    )
    strings = subject.token_strings()
    rng = np.random.default_rng(seed)
    estimates, changes = at_random.estimates, at_random.changes
    return {
        "margins": np.array(by_gradient.margins),
        "random_margins": np.array(at_random.margins),
        "swaps": np.array([f"{s.old.strip()} → {s.new.strip()}" for s in by_gradient.swaps], "U"),
        "attacked": np.array(by_gradient.text),
        "left": np.array(" ".join(strings[question.ids[place]].strip() for place in best.kept)),
        "answer": np.array(strings[best.answer]),
        "flipped": np.array(by_gradient.margins[1] < 0),
        "random_flipped": np.array(at_random.margins[1] < 0),
        "correlation": np.array(rank_correlation(estimates, changes)),
        "shuffled": np.array(rank_correlation(rng.permutation(estimates), changes)),
        "kept": np.array(len(best.kept) / len(best.ids)),
        "random_kept": np.array(len(random.kept) / len(random.ids)),
    }


def question_of(subject: Subject, prompt: ChoicePrompt) -> Any:
    """The prompt as token ids, and the first tokens of its two options."""
    from ...tools.behaviour.hotflip import SwapQuestion

    ids = subject.tokenize(prompt.text).ids
    right, wrong = (subject.tokenize(option).ids[0] for option in prompt.options)
    return SwapQuestion(tuple(ids), right, wrong)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's; 0 where either is constant."""
    from scipy.stats import rankdata  # takes a second to import

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def row_of(prompt: ChoicePrompt, measured: Measured) -> dict[str, Any]:
    """A prompt, its swaps and what is left of it."""
    return {
        "prompt": prompt.text,
        "answer": prompt.options[0].strip(),
        "other": prompt.options[1].strip(),
        "margin": float(measured["margins"][0]),
        "after one swap": float(measured["margins"][1]),
        "after one at random": float(measured["random_margins"][1]),
        "swaps": "; ".join(measured["swaps"].tolist()),
        "changed": bool(measured["margins"][-1] < 0),
        "kept words": str(measured["left"]),
        "next token": str(measured["answer"]).strip(),
        "share kept": float(measured["kept"]),
    }


def conclude(
    figures: Measured,
    groups: Sequence[str],
    rows: Sequence[dict[str, Any]] = (),
    seed: int = 0,
) -> StudyResult:
    """Three claims, each a figure against its control on the same prompts."""
    decided = partial(paired, groups=groups, level=joint_level(3), seed=seed)
    swapped, estimated, kept = (figures[name] for name in ("flipped", "correlation", "kept"))
    controls = [figures[name] for name in ("random_flipped", "shuffled", "random_kept")]
    claims = [
        decided(ONE_SWAP, swapped, controls[0]),
        decided(ESTIMATE, estimated, controls[1], bounds=(-2.0, 2.0)),
        decided(REDUCED, kept, controls[2], decide=below),
    ]
    bars = [mean_over_groups(each, groups, seed=seed) for each in (swapped, estimated, kept)]
    chart = BarChart(
        "attacks",
        "Swaps, estimates and deletions against their controls",
        "share of prompts, rank correlation, share of tokens",
        ["answer changed by one swap", "estimate and effect", "tokens that keep the answer"],
        *zip(*bars, strict=True),
        control=[float(control.mean()) for control in controls],
    )
    return StudyResult(rows, claims, [chart])
