"""Does the subject know anything of its text? If not, one with redrawn weights would do as well.

Scores of explanations cannot say so. Neurons of a small network with random weights follow the token
closely, so that formulas predict them better (r .90) than neurons of a trained one (.38). The loss
can:

1. The subject's mean loss over tokens of select, from the index's activation store, or from a pass
   over a few contexts.
2. The loss of token frequencies there: counts of explore, mixed with a uniform distribution by the
   chance of a new token (Witten and Bell 1991), so that a short explore does not look better than it
   is.
3. A subject that is no better than frequencies has learned nothing that shows on this text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ...tools.files.remembered import read_note, write_note
from ...tools.index import Index

if TYPE_CHECKING:
    from ...tools.corpus import Contexts
    from ...tools.subject import Subject

NOTES = "controls"
CONTEXTS = 8
"""Contexts that are read where losses are not stored: 500 tokens know the mean to about 0.15 nats, and
the default subject is better than frequencies by 3.3."""


class SubjectCheck(NamedTuple):
    """Mean losses in nats a token, over `tokens` tokens of select."""

    loss: float
    frequencies: float
    tokens: int


def check_subject(subject: Subject, index: Index) -> SubjectCheck | None:
    """Compare the subject's loss with that of token frequencies; None if select has no token to predict.

    Raises:
        CorruptError: the index is damaged.
        UsageError: the subject computes numbers that are not finite.
    """
    about = {
        "subject": [index.subject_revision, str(subject.dtype)],
        "text": [index.corpus_sha256, index.contexts_sha256, index.salt, list(index.shares)],
        "what": "losses",
    }
    if noted := read_note(NOTES, about):
        return SubjectCheck(**noted)
    select = index.contexts("select")
    losses = _stored_losses(subject, index, select)
    if losses is None:
        losses = _computed_losses(subject, select)
    chosen = np.isfinite(losses)
    if not chosen.any():
        return None
    by_frequency = _frequency_losses(index.contexts("explore"), select, subject.n_vocabulary)
    check = SubjectCheck(
        float(losses[chosen].mean()), float(by_frequency[chosen].mean()), int(chosen.sum())
    )
    write_note(NOTES, about, check._asdict())
    return check


def _stored_losses(
    subject: Subject, index: Index, select: Contexts
) -> Float[np.ndarray, "context seq"] | None:
    """The loss of each token given those before it, NaN where there is none; None if none are stored."""
    from ...tools.index.activation_store.source import open_stored_source

    source = open_stored_source(subject, index, "select")
    array = source.store.array("loss") if source else None
    if source is None or array is None:
        return None
    losses = np.full(select.tokens.shape, np.nan)
    start = source.store.start
    for number in np.flatnonzero(start >= 0).tolist():
        length = int(select.length[number])
        rows = source.store.read(array, int(start[number]), int(start[number]) + length)
        losses[number, :length] = np.asarray(rows)[:, 0]
    return losses


def _computed_losses(subject: Subject, select: Contexts) -> Float[np.ndarray, "context seq"]:
    """The same from a pass over a few contexts, evenly spread over the split; NaN in the others."""
    import torch

    losses = np.full(select.tokens.shape, np.nan)
    usable = np.flatnonzero(select.length > 1)
    for number in usable[:: max(1, len(usable) // CONTEXTS)][:CONTEXTS].tolist():
        length = int(select.length[number])
        ids = torch.from_numpy(select.tokens[number, :length].astype(np.int64))[None]
        logits = subject.capture(ids, [], logits=True).logits
        assert logits is not None  # asked for
        log_probability = logits[0, :-1].float().cpu().log_softmax(-1)
        losses[number, 1:length] = -log_probability.gather(1, ids[0, 1:, None])[:, 0].numpy()
    return losses


def _frequency_losses(
    explore: Contexts, select: Contexts, vocabulary: int
) -> Float[np.ndarray, "context seq"]:
    """Minus the log of each token's probability by the counts of explore."""
    counts = _counts(explore, max(vocabulary, int(select.tokens.max()) + 1))
    types, total = np.count_nonzero(counts), counts.sum()
    uniform = 1 / len(counts)
    probability = (counts + types * uniform) / (total + types) if total else np.full(len(counts), uniform)  # fmt: skip
    return -np.log(probability)[select.tokens]


def _counts(contexts: Contexts, size: int) -> Int[np.ndarray, " vocabulary"]:
    real = np.arange(contexts.tokens.shape[1]) < contexts.length[:, None]
    return np.bincount(contexts.tokens[real], minlength=size)
