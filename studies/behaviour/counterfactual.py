"""Counterfactuals: the smallest edits of a prompt that change the subject's answer.

1. Prompts of a task that the subject answers rightly.
2. Every edit of one word (replaced by a word of the task's other prompts, or deleted) is read by the
   subject; where none changes the answer, edits of two words (`tools/behaviour/word_edits`).
3. Changes are ranked by size: words, then characters.
4. The task says which words decide the answer. Claims: edits at these words change it more often
   than edits at others, and the smallest edit is at one of them more often than if it were placed
   at random.
5. Intervals over prompts that share their deciding words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import LEAST_GROUPS, mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import cannot_say, joint_level, paired
from .choice_prompts import answered_prompts

if TYPE_CHECKING:
    from ...evals.statistics.bootstrap import Interval
    from ...tools.behaviour.choices import ChoicePrompt
    from ...tools.subject import Subject
    from ..measurements import Measured

AT_DECIDING = "edits at the words that decide the answer change it more often than edits at others"
SMALLEST = "the smallest one-word edit is at a deciding word more often than if placed at random"


class EditedWords(NamedTuple):
    """What single edits do to one prompt, by word.

    Attributes:
        flips: share of the word's edits that change the answer; `decides`: by word.
        smallest: place of the smallest edit that changes it; -1 if no single edit does.
    """

    flips: np.ndarray
    decides: np.ndarray
    smallest: int
    group: str


@study("counterfactual", question="Which are the smallest edits that change an answer?")
def counterfactual(
    study: StudyContext,
    task: Annotated[str, Field(description="task of prompts, or a table of pairs")] = "sva",
    prompts: Annotated[int, Field(ge=LEAST_GROUPS, le=500)] = 24,
    candidates: Annotated[int, Field(ge=2, le=200, description="words to put in")] = 12,
    most_edits: Annotated[int, Field(ge=1, le=3, description="words changed at most")] = 2,
    seed: int = 0,
) -> StudyResult:
    """Find the smallest changes of a prompt that change the subject's answer, and where they are.

    Tells whether an answer depends on the words that it should depend on.
    """
    answered = answered_prompts(study, task, prompts, seed)
    answered.require(LEAST_GROUPS, "an interval")
    pool = candidate_words(answered.prompts, candidates, seed)
    rows: list[dict[str, Any]] = []
    edited: list[EditedWords] = []
    for number, prompt in enumerate(answered.prompts):
        study.progress("prompts", number, len(answered.prompts))
        measured = study.measured(
            f"edits-{number}",
            lambda prompt=prompt: measure_edits(study.subject, prompt, pool, most_edits),
        )
        rows.append(row_of(prompt, measured))
        edited.append(edited_words(prompt, measured))
    return conclude(edited, rows, seed)


def candidate_words(prompts: Sequence[ChoicePrompt], n: int, seed: int) -> list[str]:
    """Words of the prompts that may be put in, half of them words that decide an answer."""
    from ...tools.behaviour.word_edits import WORD

    deciding = sorted({word for prompt in prompts for word in prompt.decisive})
    other = sorted({word for prompt in prompts for word in WORD.findall(prompt.text)} - {*deciding})
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(words).tolist() for words in (deciding, other)]
    half = max(n // 2, n - len(other))
    return [*drawn[0][:half], *drawn[1][: n - len(drawn[0][:half])]]


def measure_edits(
    subject: Subject, prompt: ChoicePrompt, pool: Sequence[str], most_edits: int
) -> Measured:
    """The smallest edit that changes the answer, and the share of each word's edits that do."""
    from ...tools.behaviour.word_edits import find_counterfactuals, word_spans

    found = find_counterfactuals(subject, prompt, pool, most_edits=most_edits)
    words = [prompt.text[start:end] for start, end in word_spans(prompt.text)]
    smallest = found.smallest
    return {
        "words": np.array(words),
        "flips": np.array(found.flips_by_place),
        "margin": np.array([found.margin, *([smallest.margin] if smallest else [])]),
        "size": np.array(smallest.size if smallest else (), dtype=int),
        "place": np.array(smallest.edits[0].place if smallest else -1),
        "edit": np.array(_spelled(smallest.edits) if smallest else "", "U"),
        "tried": np.array(found.tried),
    }


def row_of(prompt: ChoicePrompt, measured: Measured) -> dict[str, Any]:
    """A prompt with its smallest edit."""
    found = len(measured["size"]) > 0
    return {
        "prompt": prompt.text,
        "answer": prompt.options[prompt.answer].strip(),
        "other": prompt.options[1 - prompt.answer].strip(),
        "margin": float(measured["margin"][0]),
        "smallest edit": str(measured["edit"]),
        "words": int(measured["size"][0]) if found else None,
        "characters": int(measured["size"][1]) if found else None,
        "margin after": float(measured["margin"][1]) if found else None,
        "tried": int(measured["tried"]),
    }


def edited_words(prompt: ChoicePrompt, measured: Measured) -> EditedWords:
    """Which words decide, and where the smallest single edit is."""
    single = len(measured["size"]) > 0 and int(measured["size"][0]) == 1
    stripped = {word.strip(".,;:!?").lower() for word in prompt.decisive}
    decides = np.array([word.lower() in stripped for word in measured["words"].tolist()])
    smallest = int(measured["place"]) if single else -1
    return EditedWords(measured["flips"], decides, smallest, prompt.group)


def conclude(
    edited: Sequence[EditedWords], rows: Sequence[dict[str, Any]] = (), seed: int = 0
) -> StudyResult:
    """The two claims, and how often edits at each kind of word change the answer."""
    known = [each for each in edited if 0 < each.decides.sum() < len(each.decides)]
    level = joint_level(2)
    if not known:
        why = ": these prompts do not say which words decide"
        return StudyResult(rows, [cannot_say(AT_DECIDING + why, 0), cannot_say(SMALLEST + why, 0)])
    groups = [each.group for each in known]
    at, other = (
        np.array([each.flips[each.decides == side].mean() for each in known])
        for side in (True, False)
    )
    claims = [paired(AT_DECIDING, at, other, groups, level=level, seed=seed)]
    placed = [each for each in known if each.smallest >= 0]
    if placed:
        hit = np.array([float(each.decides[each.smallest]) for each in placed])
        chance = np.array([each.decides.mean() for each in placed])
        names = [each.group for each in placed]
        claims.append(paired(SMALLEST, hit, chance, names, level=level, seed=seed))
    else:
        claims.append(cannot_say(f"{SMALLEST}: no single edit changes an answer", 0))
    return StudyResult(rows, claims, [_figure(at, other, groups, seed)])


def _figure(at: np.ndarray, other: np.ndarray, groups: Sequence[str], seed: int) -> BarChart:
    intervals: list[Interval] = [mean_over_groups(each, groups, seed=seed) for each in (at, other)]
    return BarChart(
        "flips",
        "Single edits that change the answer",
        "share of edits",
        ["at words that decide", "at other words"],
        *zip(*intervals, strict=True),
    )


def _spelled(edits: Sequence[Any]) -> str:
    return ", ".join(f"{edit.old} → {edit.new or '(nothing)'}" for edit in edits)
