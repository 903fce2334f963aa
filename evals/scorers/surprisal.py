"""Surprisal: does a base language model find active text less surprising once it has read the
explanation?

Paulo, Mallen, Juang & Belrose 2024 (arXiv 2410.13928). They leave it at raw losses; here:

1. Each window's loss behind the explanation is taken from its loss behind the same words without it
   (`prompts/surprisal.md`: its two parts).
2. Score: AUROC of that gain, active against quiet windows, chance 0.5. An explanation that helps
   all text alike, or none, scores 0.5; so does an empty one, exactly.

Needs `lab.loss`, a base model: the subject itself will do. Cost: 80 rows of a forward pass, no
calls.
"""

from __future__ import annotations

from ...prompts import load
from ..judge.protocol import Unscorable
from ..score import Floors, Score
from .classification import LabelledExamples, auroc
from .decisions import one_line
from .registry import ScoringTask, scorer
from .subject_access import missing
from .windows import choose, cut

COUNT = 20
"""Active windows, and as many quiet ones: half of detection's, since each is read twice in full."""


@scorer("surprisal")
def surprisal(case: ScoringTask) -> list[Score]:
    """AUROC of how much the explanation lowers a window's loss."""
    if case.lab.loss is None:
        raise missing("a base model's losses: the subject")
    if not case.explanation.strip():
        raise Unscorable("there is no explanation in words")
    windows = cut(case.sample, case.text)
    chosen = choose(windows, case.seed, COUNT)
    texts = ["".join(windows.shown(int(w))) for w in chosen.window]
    without, told = load("surprisal").fill(explanation=one_line(case.explanation))
    gain = case.lab.loss([f"{without}\n\n"] * len(texts), texts) - case.lab.loss(
        [f"{told}\n\n"] * len(texts), texts
    )
    found = auroc(gain, LabelledExamples(chosen.label, windows.document[chosen.window]), case.seed)
    return [
        Score("surprisal", case.split, "top_and_random", *found, Floors(chance=0.5, shuffled=0.5))
    ]
