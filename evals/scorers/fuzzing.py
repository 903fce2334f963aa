"""Fuzzing: are the marked words the ones the explanation is about?

Paulo, Mallen, Juang & Belrose 2024 (arXiv 2410.13928). As in detection, 50 active windows by
quantile and 50 others, each with some tokens marked:

1. Active windows have their true marks: the tokens that are active by the rule of `windows`.
2. Half of the others are quiet windows with the marks of an active one, so that neither position
   nor number of marks gives anything away (delphi marks one fixed position in its negatives).
3. The other half are active windows with as many marks on tokens that are not active. A judge that
   looks at the text and not at the marks is wrong about these.
4. The judge answers 1 or 0 for each; the predicate answers 1 where the mean of its prediction at
   the marks is active.
5. Score: balanced accuracy, chance 0.5; `fuzzing.auroc` if decisions are graded.

Cost with a judge: 2 calls, about 55 prompt tokens per window.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from ..score import Score
from .decisions import DecisionQuestion, Decisions, decision_scores, make_decisions
from .registry import ScoringTask, scorer
from .windows import ChosenWindows, Windows, choose_windows, cut_windows, mark_tokens

Marks = list[Bool[np.ndarray, " tokens"]]


@scorer("fuzzing")
def fuzzing(task: ScoringTask) -> list[Score]:
    """Balanced accuracy over windows with true and false marks."""
    windows = cut_windows(task.sample, task.text)
    rng = np.random.default_rng([task.seed, 1])
    chosen, marks = with_marks(windows, choose_windows(windows, task.seed), rng)

    def read(predicted: np.ndarray) -> Decisions:
        activity = windows.activity_of(predicted)
        sizes = [windows.tokens_at(int(w), activity.size) for w in chosen.window]
        grade = np.array([size[mark].mean() for size, mark in zip(sizes, marks, strict=True)])
        return Decisions(grade >= activity.threshold, grade)

    question = DecisionQuestion(
        windows.labelled(chosen),
        chosen.batches,
        lambda item: mark_tokens(windows.token_strings(int(chosen.window[item])), marks[item]),
        read,
        "fuzzing",
    )
    return decision_scores("fuzzing", task, question, make_decisions(task, question))


def with_marks(
    windows: Windows, chosen: ChosenWindows, rng: np.random.Generator
) -> tuple[ChosenWindows, Marks]:
    """The windows with their marks; half of the quiet ones become wrongly marked active ones."""
    window = chosen.window.copy()
    positives, negatives = np.flatnonzero(chosen.label), np.flatnonzero(~chosen.label)
    true_marks = {int(i): windows.tokens_at(int(window[i]), windows.true.marked) for i in positives}
    # Every second negative becomes an active window: one not shown yet, if there are any.
    spare = np.setdiff1d(np.flatnonzero(windows.true.active), window)
    pool = _markable(windows, spare) or _markable(windows, window[positives])
    swapped = set(negatives[::2][: len(pool)].tolist())
    window[sorted(swapped)] = rng.choice(pool, len(swapped), replace=False)
    marks: Marks = [np.zeros(0, dtype=bool)] * len(window)
    for i in positives:
        marks[i] = true_marks[int(i)]
    for i, partner in zip(negatives, rng.permutation(positives), strict=True):
        mark = _mark_inactive if int(i) in swapped else transplant_marks
        marks[i] = mark(windows, int(window[i]), true_marks[int(partner)], rng)
    return chosen._replace(window=window), marks


def transplant_marks(
    windows: Windows, window: int, pattern: Bool[np.ndarray, " tokens"], rng: np.random.Generator
) -> Bool[np.ndarray, " tokens"]:
    """Another window's marks on tokens of this one that count; one random token if none is left."""
    usable = windows.tokens_at(window, windows.sample.mask)
    marks = np.zeros(len(usable), dtype=bool)
    size = min(len(usable), len(pattern))
    marks[:size] = pattern[:size]
    marks &= usable
    return marks if marks.any() else _mark_random(usable, 1, rng)


def _mark_inactive(
    windows: Windows, window: int, pattern: Bool[np.ndarray, " tokens"], rng: np.random.Generator
) -> Bool[np.ndarray, " tokens"]:
    """As many marks on tokens of this window that are not active."""
    return _mark_random(_inactive(windows, window), int(pattern.sum()), rng)


def _markable(windows: Windows, candidates: Int[np.ndarray, " windows"]) -> list[int]:
    """Windows with a token that is not active, so that something can be marked wrongly."""
    return [int(w) for w in candidates if _inactive(windows, int(w)).any()]


def _inactive(windows: Windows, window: int) -> Bool[np.ndarray, " tokens"]:
    return windows.tokens_at(window, windows.sample.mask) & ~windows.tokens_at(
        window, windows.true.marked
    )


def _mark_random(
    usable: Bool[np.ndarray, " tokens"], count: int, rng: np.random.Generator
) -> Bool[np.ndarray, " tokens"]:
    positions = np.flatnonzero(usable)
    marks = np.zeros(len(usable), dtype=bool)
    marks[rng.choice(positions, min(max(count, 1), len(positions)), replace=False)] = True
    return marks
