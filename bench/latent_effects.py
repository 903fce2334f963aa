"""What latents cause: how much pushing one changes the log-probability of given next tokens.

1. Each latent is pushed at all tokens of a few texts but the first. A push adds a multiple of its
   decoder row to the stream, of the same length for all latents.
2. Its effect on a token is the change of that token's log-probability after the text, mean over the
   texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..tools.instruments.continuation import next_token_logits
from ..tools.instruments.token_changes import log_probabilities
from ..tools.subject.address import Unit
from ..tools.subject.interventions import Intervention
from ..tools.subject.subject import Subject

ROWS = 64
"""Of a batch: a pushed text each."""


def effects_on_tokens(
    subject: Subject,
    latents: Sequence[Unit],
    tokens: Sequence[int],
    texts: Int[np.ndarray, "text seq"],
    length: float,
    show: Callable[[int, int], None] = lambda done, total: None,
) -> Float[np.ndarray, "latent token"]:
    """The effect of each latent on each token, in nats.

    Args:
        length: of what is added to the stream.
        show: called with how many pushes are done, of how many.
    """
    ids = torch.from_numpy(texts.astype(np.int64))
    before = _log_p(subject, ids, [[] for _ in texts], tokens)
    pushes = [
        (text, [_push(subject, latent, length, ids.shape[1])])
        for latent in latents
        for text in range(len(texts))
    ]
    changes: list[Tensor] = []
    for start in range(0, len(pushes), ROWS):
        numbers, interventions = zip(*pushes[start : start + ROWS], strict=True)
        after = _log_p(subject, ids[list(numbers)], interventions, tokens)
        changes.append(after - before[list(numbers)])
        show(min(start + ROWS, len(pushes)), len(pushes))
    by_text = torch.cat(changes).unflatten(0, (len(latents), len(texts)))
    return by_text.mean(dim=1).numpy()


def _push(subject: Subject, latent: Unit, length: float, seq: int) -> Intervention:
    row = subject.dictionaries[latent.name].decoder[latent.index]
    return Intervention(latent, "add", tuple(range(1, seq)), value=length / float(row.norm()))


def _log_p(
    subject: Subject,
    ids: Int[Tensor, "row seq"],
    interventions: Sequence[Sequence[Intervention]],
    tokens: Sequence[int],
) -> Float[Tensor, "row token"]:
    logits = next_token_logits(subject, ids, interventions)
    return log_probabilities(logits)[:, list(tokens)]
