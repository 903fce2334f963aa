"""The subject's own continuation of a text, with or without interventions.

1. Each row of a batch is one variant of the same text: as it is, and under each intervention.
2. Token by token: the distribution behind the last position, then its most likely token, or one
   drawn by Gumbel noise.
3. All variants see the same noise at each step, so that they differ by what was changed and not by
   luck.

The pass is made anew for each token, since an intervention reaches earlier positions too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ArgumentError

if TYPE_CHECKING:
    from ..subject import Intervention, Subject

MOST_NEW = 64
Edits = Callable[[int], Sequence[Sequence["Intervention"]]]
"""Interventions of each row, for texts of a length."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; temperature 0 takes the most likely one."""

    new_tokens: int
    temperature: float = 0.0
    seed: int = 0


def continue_text(
    subject: Subject, ids: Sequence[int], rows: int, edits: Edits, how: Sampling
) -> list[list[int]]:
    """The new tokens of each row.

    Raises:
        ArgumentError: text and continuation are longer than the subject reads.
    """
    import numpy as np
    import torch

    if len(ids) + how.new_tokens > subject.context_length:
        raise ArgumentError(
            f"{len(ids)} tokens and {how.new_tokens} new ones given; the model reads at most "
            f"{subject.context_length}: shorten the text, or ask for fewer"
        )
    batch, random = torch.tensor([list(ids)] * rows), np.random.default_rng(how.seed)
    for _ in range(how.new_tokens):
        given = edits(batch.shape[1])
        logits = subject.capture(batch, [], interventions=given, logits=True, last_only=True).logits
        assert logits is not None  # asked for
        scores = logits[:, -1].cpu().double()
        if how.temperature > 0:
            scores = scores / how.temperature + torch.from_numpy(
                random.gumbel(size=scores.shape[1])
            )
        batch = torch.cat([batch, scores.argmax(-1, keepdim=True)], dim=1)
    return batch[:, len(ids) :].tolist()


def decode_tokens(subject: Subject, ids: Sequence[int]) -> str:
    """Token ids as they read behind other text."""
    strings = subject.token_strings()
    return "".join(strings[i] for i in ids)
