"""The logit differences of every clean prompt and its twin, and whether an answer ranks first."""

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
    """One value per prompt, in the order of the batches; `top`: an answer has the highest logit."""

    clean: Float[np.ndarray, " prompts"]
    corrupted: Float[np.ndarray, " prompts"]
    top: Bool[np.ndarray, " prompts"]


def measure_logit_differences(subject: Subject, batches: Sequence[PairBatch]) -> LogitDifferences:
    """Run the subject on all prompts and their twins, without any intervention."""
    per_batch = [_measure_batch(subject, batch) for batch in batches]
    return LogitDifferences(*(np.concatenate(column) for column in zip(*per_batch, strict=True)))


def _measure_batch(subject: Subject, batch: PairBatch) -> LogitDifferences:
    pairs = batch.pairs
    clean, corrupted = (_final_logits(subject, ids) for ids in (pairs.clean, pairs.corrupted))
    best = clean.argmax(dim=1, keepdim=True)
    top = (pairs.answer.to(best.device) == best).any(dim=1)
    clean_difference, corrupted_difference = (
        pairs.logit_difference(logits).double().cpu().numpy() for logits in (clean, corrupted)
    )
    return LogitDifferences(clean_difference, corrupted_difference, top.cpu().numpy())


def _final_logits(subject: Subject, ids: Int[Tensor, "pairs seq"]) -> Float[Tensor, "pairs vocab"]:
    """Logits at the last position."""
    with torch.inference_mode():
        logits = subject.capture(ids, [], logits=True, last_only=True).logits
    assert logits is not None  # because of logits=True
    return logits[:, -1].float()
