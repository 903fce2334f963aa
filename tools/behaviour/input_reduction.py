"""How little of a prompt keeps the subject's answer.

1. The answer is the most likely next token after the whole prompt.
2. Leave out each token in turn and let the subject read what is left: exactly, not by gradient.
3. Among the deletions that keep the answer, make the one after which it is most likely. Repeat
   until every deletion changes the answer, or one token is left.
4. The control makes a deletion drawn at random among those that keep the answer.

After Feng et al. 2018 ("Pathologies of Neural Models Make Interpretations Difficult"), whose search
is by gradient; what is left is often meaningless to a reader, which is what the method shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import UsageError
from .sequence_probability import next_token_log_probs

if TYPE_CHECKING:
    from ..subject import Subject

Choice = Literal["best", "random"]


@dataclass(frozen=True)
class ReducedPrompt:
    """A prompt and what is left of it.

    Attributes:
        ids: tokens of the whole prompt; `kept`: positions that are left, in their order.
        answer: the next token that both have in common; `log_p`: before and after, nats.
    """

    ids: tuple[int, ...]
    kept: tuple[int, ...]
    answer: int
    log_p: tuple[float, float]
    passes: int


def reduce_prompt(
    subject: Subject,
    ids: Sequence[int],
    *,
    choice: Choice = "best",
    seed: int = 0,
) -> ReducedPrompt:
    """Delete tokens one after the other while the most likely next token stays the same.

    Raises:
        UsageError: a prompt without a token.
    """
    if not len(ids):
        raise UsageError("a prompt without a token given; nothing to reduce")
    rng = np.random.default_rng(seed)
    (whole,) = next_token_log_probs(subject, [ids])
    answer = int(whole.argmax())
    kept = list(range(len(ids)))
    log_p, passes = float(whole[answer]), 0
    while len(kept) > 1:
        shorter = [[ids[place] for place in kept if place != deleted] for deleted in kept]
        after = next_token_log_probs(subject, shorter)
        passes += len(shorter)
        keep_answer = np.flatnonzero(after.argmax(axis=1) == answer)
        if not len(keep_answer):
            break
        best = keep_answer[after[keep_answer, answer].argmax()]
        chosen = int(best if choice == "best" else rng.choice(keep_answer))
        del kept[chosen]
        log_p = float(after[chosen, answer])
    before = float(whole[answer])
    return ReducedPrompt(tuple(ids), tuple(kept), answer, (before, log_p), passes)
