"""The subject's own continuation of a text, with or without interventions.

1. Each row of a batch is one variant of the same text: as it is, and under each intervention.
2. For each new token take the distribution after the last position, then its most likely token, or
   one drawn with Gumbel noise.
3. All variants get the same noise at each step, so that they differ by the intervention and not by
   luck.

Each token takes a whole new pass, since an intervention reaches earlier positions too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..subject.token_text import join_tokens

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from ..subject import Intervention, Subject

MAX_NEW_TOKENS = 64
RowInterventions = Callable[[int], Sequence[Sequence["Intervention"]]]
"""Interventions of each row, given the length of the text so far."""


@dataclass(frozen=True)
class Sampling:
    """How new tokens are chosen; temperature 0 takes the most likely one."""

    new_tokens: int
    temperature: float = 0.0
    seed: int = 0


def continue_text(
    subject: Subject,
    ids: Sequence[int],
    rows: int,
    interventions: RowInterventions,
    sampling: Sampling,
) -> list[list[int]]:
    """The new tokens of each row.

    Raises:
        ArgumentError: text and continuation together are longer than the subject's context.
    """
    import numpy as np
    import torch

    if len(ids) + sampling.new_tokens > subject.context_length:
        raise ArgumentError(
            f"{len(ids)} tokens and {sampling.new_tokens} new ones given; the model reads at most "
            f"{subject.context_length}: shorten the text, or ask for fewer"
        )
    batch = torch.tensor([list(ids)] * rows)
    random = np.random.default_rng(sampling.seed)
    for _ in range(sampling.new_tokens):
        logits = next_token_logits(subject, batch, interventions(batch.shape[1]))
        scores = logits.cpu().double()
        if sampling.temperature > 0:
            noise = torch.from_numpy(random.gumbel(size=scores.shape[1]))  # the same for all rows
            scores = scores / sampling.temperature + noise
        batch = torch.cat([batch, scores.argmax(-1, keepdim=True)], dim=1)
    return batch[:, len(ids) :].tolist()


def next_token_logits(
    subject: Subject,
    ids: Int[Tensor, "row seq"],
    interventions: Sequence[Sequence[Intervention]] | None = None,
) -> Float[Tensor, "row vocab"]:
    """Logits of the token after each row, under the row's interventions."""
    logits = subject.capture(
        ids, [], interventions=interventions, logits=True, last_only=True
    ).logits
    assert logits is not None  # requested
    return logits[:, -1]


def decode_tokens(subject: Subject, ids: Sequence[int]) -> str:
    """Token ids as they read after other text."""
    strings = subject.token_strings()
    return join_tokens(strings[i] for i in ids)
