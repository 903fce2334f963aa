"""Intruder: do the unit's windows have so much in common that a stranger among them is noticed?

Paulo & Belrose 2025, "Evaluating SAE interpretability without explanations" (arXiv 2507.08473), and
delphi.

1. A puzzle has four active windows of one quantile of strength and one quiet window, all marked:
   the active ones at their active tokens, the quiet one with the marks of an active one.
2. The judge picks the one that does not belong. It does not see the explanation: with a judge this
   measures the unit, and is the same for every explanation of it.
3. The predicate picks the window with the smallest prediction at its marks: whether it knows what
   the others have in common.
4. Score: accuracy over 20 puzzles, chance 0.2 (`judge.puzzles` deals the positions of the answers).

Cost with a judge: 5 calls, about 5 x 40 prompt tokens per puzzle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..judge.protocol import Unscorable
from ..judge.puzzles import answer_positions, ask_puzzles, puzzle_text, solved_by_grade
from ..score import Score
from ..statistics.bootstrap import Interval
from .classification import accuracy
from .decisions import decision_floors, mixed_text_score
from .fuzzing import transplant_marks
from .registry import ScoringTask, scorer
from .resources import in_words_only
from .windows import MIN_ACTIVE_WINDOWS, QUANTILES, Windows, cut_windows, mark_tokens, quiet_windows

OPTIONS = 5
PUZZLES = 20


class _Option(NamedTuple):
    window: int
    marks: Bool[np.ndarray, " tokens"]


_Puzzle = Sequence[_Option]
"""The intruder first, then the four that belong together."""


@scorer("intruder")
def intruder(task: ScoringTask) -> list[Score]:
    """Accuracy of picking the window that does not belong."""
    windows = cut_windows(task.sample, task.text)
    puzzles = _draw_puzzles(windows, task.seed)
    document = windows.document[[puzzle[0].window for puzzle in puzzles]]
    interval = task.sample.resampling.interval

    def value_of(predicted: np.ndarray) -> Interval:
        return accuracy(_by_prediction(windows, puzzles, predicted), document, task.seed, interval)

    if task.chat is not None:
        value = accuracy(_by_chat(task, windows, puzzles), document, task.seed, interval)
    elif task.predicts:
        value = value_of(task.sample.predicted)
    else:
        raise in_words_only("a judge")
    floors = decision_floors(task, value_of, 1 / OPTIONS)
    return [mixed_text_score("intruder", task, value, floors)]


def _draw_puzzles(windows: Windows, seed: int) -> list[_Puzzle]:
    rng = np.random.default_rng([seed, 2])
    active, quiet = np.flatnonzero(windows.true.active), quiet_windows(windows)
    if len(active) < MIN_ACTIVE_WINDOWS or len(quiet) < 1 or windows.true.threshold <= 0:
        raise Unscorable(
            f"{len(active)} active and {len(quiet)} quiet windows; "
            f"puzzles need {MIN_ACTIVE_WINDOWS} active ones"
        )
    # Windows of one puzzle are about equally strong.
    order = active[np.argsort(windows.true.strength[active], kind="stable")]
    quantiles = np.array_split(order, min(QUANTILES, len(order) // (OPTIONS - 1)))
    groups = [group for group in quantiles if len(group) >= OPTIONS - 1]
    intruders = rng.choice(quiet, PUZZLES, replace=len(quiet) < PUZZLES)
    return [
        _draw_puzzle(windows, groups[i % len(groups)], int(window), rng)
        for i, window in enumerate(intruders)
    ]


def _draw_puzzle(
    windows: Windows, group: Int[np.ndarray, " group"], intruder: int, rng: np.random.Generator
) -> _Puzzle:
    members = [int(w) for w in rng.choice(group, OPTIONS - 1, replace=False)]
    marks = [windows.tokens_at(w, windows.true.marked) for w in members]
    intruder_marks = transplant_marks(windows, intruder, marks[0], rng)
    return [_Option(intruder, intruder_marks), *map(_Option, members, marks)]


def _by_prediction(
    windows: Windows, puzzles: Sequence[_Puzzle], predicted: Float[np.ndarray, "contexts seq"]
) -> Float[np.ndarray, " puzzles"]:
    size = windows.activity_of(predicted).size
    grades = [
        [float(windows.tokens_at(option.window, size)[option.marks].mean()) for option in puzzle]
        for puzzle in puzzles
    ]
    return solved_by_grade(-np.array(grades))


def _by_chat(
    task: ScoringTask, windows: Windows, puzzles: Sequence[_Puzzle]
) -> Float[np.ndarray, " puzzles"]:
    assert task.chat is not None
    answers = answer_positions(len(puzzles), OPTIONS, task.seed)
    texts = []
    for puzzle, answer in zip(puzzles, answers, strict=True):
        intruder, *members = (mark_tokens(windows.token_strings(o.window), o.marks) for o in puzzle)
        texts.append(puzzle_text(intruder, members, int(answer)))
    return ask_puzzles(task.chat, "intruder", texts, answers, OPTIONS)
