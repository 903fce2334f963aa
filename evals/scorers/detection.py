"""Detection: from the explanation alone, which windows of text activate the unit?

Paulo, Mallen, Juang & Belrose 2024, "Automatically interpreting millions of features in large
language models" (arXiv 2410.13928); sample sizes as in delphi: 50 active windows of 32 tokens,
drawn by quantile, and 50 quiet ones.

1. `choose_windows` draws the windows and deals them into two mirrored prompts of 50.
2. The judge answers 1 or 0 for each. The predicate answers 1 where its prediction is active by the
   same rule as the truth.
3. Score: balanced accuracy, chance 0.5. `detection.auroc` if decisions are graded: by the
   prediction's strength, or by the judge's log-probabilities.

Cost with a judge: 2 calls, about 45 prompt tokens per window. None with a predicate.
"""

from __future__ import annotations

import numpy as np

from ..score import Score
from .decisions import DecisionQuestion, Decisions, decision_scores, make_decisions
from .registry import ScoringTask, scorer
from .windows import ChosenWindows, Windows, as_one_line, choose_windows, cut_windows


@scorer("detection")
def detection(task: ScoringTask) -> list[Score]:
    """Balanced accuracy over active and quiet windows."""
    windows = cut_windows(task.sample, task.text)
    question = activity_question(windows, choose_windows(windows, task.seed))
    return decision_scores("detection", task, question, make_decisions(task, question))


def activity_question(windows: Windows, chosen: ChosenWindows) -> DecisionQuestion:
    """Is this window active?"""

    def read(predicted: np.ndarray) -> Decisions:
        activity = windows.activity_of(predicted)
        return Decisions(activity.active[chosen.window], activity.strength[chosen.window])

    return DecisionQuestion(
        windows.labelled(chosen),
        chosen.batches,
        lambda item: as_one_line(windows.token_strings(int(chosen.window[item]))),
        read,
    )
