"""What a subject answers: the logit difference of every prompt and its twin, and whether an answer came out on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .prepared import PairBatch

if TYPE_CHECKING:
    from ...subject import Subject


class LogitDifferences(NamedTuple):
    """One number a prompt, in the order of the batches."""

    clean: Float[np.ndarray, " prompts"]
    corrupted: Float[np.ndarray, " prompts"]
    top: Bool[np.ndarray, " prompts"]


def measure_logit_differences(subject: Subject, batches: Sequence[PairBatch]) -> LogitDifferences:
    """Bare passes over all prompts and their twins."""
    parts = [_read(subject, batch) for batch in batches]
    return LogitDifferences(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _read(subject: Subject, batch: PairBatch) -> LogitDifferences:
    pairs = batch.pairs
    clean, corrupted = (_last(subject, ids) for ids in (pairs.clean, pairs.corrupted))
    best = clean.argmax(dim=1, keepdim=True)
    top = (pairs.answer.to(best.device) == best).any(dim=1)
    one, two = (
        pairs.logit_difference(logits).double().cpu().numpy() for logits in (clean, corrupted)
    )
    return LogitDifferences(one, two, top.cpu().numpy())


def _last(subject: Subject, ids: Int[Tensor, "pairs seq"]) -> Float[Tensor, "pairs vocab"]:
    with torch.inference_mode():
        logits = subject.capture(ids, [], logits=True, last_only=True).logits
    assert logits is not None  # asked for
    return logits[:, -1].float()
