"""Intruder: do the unit's windows have something in common, so that a stranger among them is seen?

Paulo & Belrose 2025, "Evaluating SAE interpretability without explanations" (arXiv 2507.08473), and
delphi.

1. A puzzle has four active windows of the same quantile of strength and one quiet window, all
   marked: the active ones at their active tokens, the quiet one with the marks of an active one
   laid over it.
2. A judge is asked for the one that does not belong. It is not told the explanation: with a judge
   this measures the unit, and is the same for every explanation of it.
3. The predicate picks the window with the least predicted at its marks: whether it knows what they
   have in common.
4. Score: accuracy over 20 puzzles, chance 0.2 (`choosing` deals the places).

Cost with a judge: 5 calls, about 5 x 40 prompt tokens a puzzle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..judge.protocol import Unscorable
from ..judge.puzzles import answer_positions, ask_puzzles, puzzle_text, solved_by_grade
from ..score import Score
from ..statistics.bootstrap import Interval
from .classification import accuracy
from .decisions import decision_floors
from .fuzzing import transplant_marks
from .registry import ScoringTask, scorer
from .windows import MIN_ACTIVE_WINDOWS, QUANTILES, Windows, cut_windows, mark_tokens, quiet_windows

OPTIONS = 5
PUZZLES = 20


class _Option(NamedTuple):
    window: int
    marks: Bool[np.ndarray, " tokens"]


@scorer("intruder")
def intruder(task: ScoringTask) -> list[Score]:
    """Accuracy of picking the window that does not belong."""
    windows = cut_windows(task.sample, task.text)
    puzzles = _puzzles(windows, task.seed)
    document = windows.document[[puzzle[0].window for puzzle in puzzles]]

    def value(predicted: np.ndarray) -> Interval:
        return accuracy(_by_prediction(windows, puzzles, predicted), document, task.seed)

    found = value(task.sample.predicted)
    if task.chat is not None:
        found = accuracy(_by_chat(task, windows, puzzles), document, task.seed)
    elif not task.predicts:
        raise Unscorable("an explanation in words only: needs a judge")
    return [
        Score(
            "intruder",
            task.split,
            "top_and_random",
            *found,
            decision_floors(task, value, 1 / OPTIONS),
        )
    ]


def _puzzles(windows: Windows, seed: int) -> list[list[_Option]]:
    """The intruder first, then the four that belong together."""
    rng = np.random.default_rng([seed, 2])
    active, quiet = np.flatnonzero(windows.true.active), quiet_windows(windows)
    if len(active) < MIN_ACTIVE_WINDOWS or len(quiet) < 1 or windows.true.threshold <= 0:
        raise Unscorable(
            f"{len(active)} active and {len(quiet)} quiet windows; puzzles need {MIN_ACTIVE_WINDOWS} active ones"
        )
    order = active[np.argsort(windows.true.strength[active], kind="stable")]
    groups = [
        g
        for g in np.array_split(order, min(QUANTILES, len(order) // (OPTIONS - 1)))
        if len(g) >= OPTIONS - 1
    ]
    strangers = rng.choice(quiet, PUZZLES, replace=len(quiet) < PUZZLES)
    return [_puzzle(windows, groups[i % len(groups)], int(w), rng) for i, w in enumerate(strangers)]


def _puzzle(
    windows: Windows, group: Int[np.ndarray, " group"], stranger: int, rng: np.random.Generator
) -> list[_Option]:
    friends = [int(w) for w in rng.choice(group, OPTIONS - 1, replace=False)]
    marks = [windows.tokens_at(w, windows.true.marked) for w in friends]
    laid_over = transplant_marks(windows, stranger, marks[0], rng)
    return [
        _Option(stranger, laid_over),
        *(_Option(w, m) for w, m in zip(friends, marks, strict=True)),
    ]


def _by_prediction(
    windows: Windows, puzzles: list[list[_Option]], predicted: np.ndarray
) -> Float[np.ndarray, " puzzles"]:
    size = windows.activity_of(predicted).size
    grades = [
        [float(windows.tokens_at(o.window, size)[o.marks].mean()) for o in puzzle]
        for puzzle in puzzles
    ]
    return solved_by_grade(np.array(grades), np.min)


def _by_chat(
    task: ScoringTask, windows: Windows, puzzles: list[list[_Option]]
) -> Float[np.ndarray, " puzzles"]:
    assert task.chat is not None
    places = answer_positions(len(puzzles), OPTIONS, task.seed)
    shown = [
        [mark_tokens(windows.token_strings(o.window), o.marks) for o in puzzle]
        for puzzle in puzzles
    ]
    texts = [puzzle_text(s[0], s[1:], int(place)) for s, place in zip(shown, places, strict=True)]
    return ask_puzzles(task.chat, "intruder", texts, places, OPTIONS)
