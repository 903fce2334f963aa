"""Detection: from the explanation alone, which windows of text activate the unit?

Paulo, Mallen, Juang & Belrose 2024, "Automatically interpreting millions of features in large
language models" (arXiv 2410.13928); sample sizes as in delphi: 50 active windows of 32 tokens,
drawn by quantile, and 50 quiet ones.

1. `windows.choose` draws the windows and deals them into two mirrored prompts of 50.
2. The judge says 1 or 0 of each. The predicate says 1 where its own prediction is active by the
   rule that the truth is read with.
3. Score: balanced accuracy, chance 0.5. `detection.auroc` where decisions are graded: by the
   prediction's strength, or by the judge's log-probabilities.

Cost with a judge: 2 calls, about 45 prompt tokens a window. None with a predicate.
"""

from __future__ import annotations

import numpy as np

from ..score import Score
from .classification import LabelledExamples
from .decisions import DecisionQuestion, Decisions, decide, scores_of
from .registry import ScoringTask, scorer
from .windows import Chosen, Windows, choose, cut, plain


@scorer("detection")
def detection(case: ScoringTask) -> list[Score]:
    """Balanced accuracy over active and quiet windows."""
    windows = cut(case.sample, case.text)
    question = question_about(windows, choose(windows, case.seed))
    return scores_of("detection", case, question, decide(case, question))


def question_about(windows: Windows, chosen: Chosen) -> DecisionQuestion:
    """Is this window active?"""

    def read(predicted: np.ndarray) -> Decisions:
        activity = windows.read(predicted)
        return Decisions(activity.active[chosen.window], activity.strength[chosen.window])

    return DecisionQuestion(
        LabelledExamples(chosen.label, windows.document[chosen.window]),
        chosen.batches,
        lambda item: plain(windows.shown(int(chosen.window[item]))),
        read,
    )
