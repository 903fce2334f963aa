"""Surprisal: does the explanation make active text less surprising to a base language model?

Paulo, Mallen, Juang & Belrose 2024 (arXiv 2410.13928). They compare raw losses; here:

1. A window's gain is its loss after the same prompt without the explanation, minus its loss after
   the explanation (`prompts/surprisal.md` has the two parts).
2. Score: AUROC of the gain, active against quiet windows, chance 0.5. An explanation that helps all
   text alike, or none, scores 0.5; an empty one exactly.

Needs `resources.loss`, a base model: the subject itself will do. Cost: 80 rows of a forward pass,
no calls.
"""

from __future__ import annotations

from ...prompts import load
from ...tools.subject.token_text import join_tokens
from ..score import Score
from .decisions import auroc_score
from .registry import ScoringTask, scorer
from .resources import unscorable_without
from .windows import choose_windows, cut_windows

COUNT = 20
"""Active windows, and as many quiet ones: half of detection's, since each is read twice in full."""


@scorer("surprisal")
def surprisal(task: ScoringTask) -> list[Score]:
    """AUROC of how much the explanation lowers a window's loss."""
    loss = task.resources.loss
    if loss is None:
        raise unscorable_without("a base model's losses: the subject")
    without, with_explanation = load("surprisal").fill(explanation=task.require_sentence())
    windows = cut_windows(task.sample, task.text)
    chosen = choose_windows(windows, task.seed, COUNT)
    texts = [join_tokens(windows.token_strings(int(w))) for w in chosen.window]
    loss_without = loss([f"{without}\n\n"] * len(texts), texts)
    loss_with = loss([f"{with_explanation}\n\n"] * len(texts), texts)
    return auroc_score("surprisal", task, loss_without - loss_with, windows.labelled(chosen))
