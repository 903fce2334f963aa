"""Surprisal: does a base language model find active text less surprising once it has read the
explanation?

Paulo, Mallen, Juang & Belrose 2024 (arXiv 2410.13928). They leave it at raw losses; here:

1. Each window's loss behind the explanation is taken from its loss behind the same words without it
   (`prompts/surprisal.md`: its two parts).
2. Score: AUROC of that gain, active against quiet windows, chance 0.5. An explanation that helps
   all text alike, or none, scores 0.5; so does an empty one, exactly.

Needs `resources.loss`, a base model: the subject itself will do. Cost: 80 rows of a forward pass, no
calls.
"""

from __future__ import annotations

from ...prompts import load
from ..judge.protocol import Unscorable
from ..score import Floors, Score
from .classification import LabelledExamples, auroc
from .decisions import one_line
from .registry import ScoringTask, scorer
from .resources import unscorable_without
from .windows import choose_windows, cut_windows

COUNT = 20
"""Active windows, and as many quiet ones: half of detection's, since each is read twice in full."""


@scorer("surprisal")
def surprisal(task: ScoringTask) -> list[Score]:
    """AUROC of how much the explanation lowers a window's loss."""
    if task.resources.loss is None:
        raise unscorable_without("a base model's losses: the subject")
    if not task.explanation.strip():
        raise Unscorable("there is no explanation in words")
    windows = cut_windows(task.sample, task.text)
    chosen = choose_windows(windows, task.seed, COUNT)
    texts = ["".join(windows.token_strings(int(w))) for w in chosen.window]
    without, told = load("surprisal").fill(explanation=one_line(task.explanation))
    gain = task.resources.loss([f"{without}\n\n"] * len(texts), texts) - task.resources.loss(
        [f"{told}\n\n"] * len(texts), texts
    )
    found = auroc(gain, LabelledExamples(chosen.label, windows.document[chosen.window]), task.seed)
    return [
        Score("surprisal", task.split, "top_and_random", *found, Floors(chance=0.5, shuffled=0.5))
    ]
