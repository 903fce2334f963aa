"""Context: how much does what comes late in a text use what came early?

1. Each document gives one stretch of tokens: an early half and a late half.
2. The loss of every late token is measured three ways: after its own early half; after nothing but the
   late half before it (*truncated*); and after the early half of another document (*replaced*).
3. Claims: late tokens are predicted better with their own early half than with another's; and still
   better at the end of the late half, where the half itself is much context already.
4. Control: 0, what a model has that does not look back so far. Truncation says less: a text that begins
   in the middle is unlike the texts that a model has learned from, and its first token is a sink.
5. Intervals: bootstrap over documents; near-duplicate documents are left out.

Khandelwal et al., "Sharp Nearby, Fuzzy Far Away: How Neural Language Models Use Context" (ACL 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ...tools.errors import UsageError
from ..document_starts import document_starts
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from ...tools.subject import Subject
    from ..measurements import Measured

WAYS = ("own", "truncated", "replaced")
BATCH = 16
END = 0.25
"""Share of the late half that is its end."""
LEAST_DOCUMENTS = 8


@study("context", question="How much do late tokens use the early context?")
def context(
    study: StudyContext,
    corpus: Annotated[str, Field(description="text to read")] = "lee-news",
    documents: Annotated[int, Field(ge=LEAST_DOCUMENTS, le=10_000)] = 100,
    length: Annotated[
        int, Field(ge=16, le=4096, description="tokens of a document, both halves")
    ] = 128,
    seed: int = 0,
) -> StudyResult:
    """Measure the loss of late tokens with their own early context, without it, and with another's."""
    measured = study.measured(
        "losses", lambda: measure_losses(study, corpus, documents, length, seed)
    )
    return conclude(measured["losses"], seed)


def measure_losses(
    study: StudyContext, corpus: str, documents: int, length: int, seed: int
) -> Measured:
    """Loss in nats of late tokens: [way, document, position], the half's first token left out."""
    import torch

    subject = study.subject
    if length > subject.context_length:
        raise UsageError(
            f"length {length} given; {subject.name} reads at most {subject.context_length} tokens"
        )
    starts = document_starts(subject, corpus, documents, length, seed)
    if len(starts) < LEAST_DOCUMENTS:
        raise UsageError(
            f"{corpus} has {len(starts)} documents of {length} tokens or more; "
            f"give one with at least {LEAST_DOCUMENTS}, or a smaller --length"
        )
    ids = torch.tensor(starts)
    early, late = ids[:, : length // 2], ids[:, length // 2 :]
    order = np.random.default_rng(seed).permutation(len(ids))
    other = np.empty(len(ids), dtype=np.int64)
    other[order] = np.roll(order, 1)  # no document is its own other
    prefixes = {"own": early, "truncated": early[:, :0], "replaced": early[other]}
    blocks: list[np.ndarray] = []
    for start in range(0, len(ids), BATCH):
        rows = slice(start, start + BATCH)
        blocks.append(
            np.stack([late_losses(subject, prefixes[way][rows], late[rows]) for way in WAYS])
        )
        study.progress("documents read", min(start + BATCH, len(ids)), len(ids))
    return {"losses": np.concatenate(blocks, axis=1)}


def late_losses(
    subject: Subject, early: Int[Tensor, "document before"], late: Int[Tensor, "document late"]
) -> Float[np.ndarray, "document position"]:
    """Loss of each late token but the first, which has nothing before it when truncated."""
    import torch

    logits = subject.capture(torch.cat([early, late], dim=1), [], logits=True).logits
    assert logits is not None  # they were asked for
    predicted = logits[:, early.shape[1] : -1].float().log_softmax(dim=-1).cpu()
    return -predicted.gather(-1, late[:, 1:, None])[..., 0].numpy()


def conclude(losses: Float[np.ndarray, "way document position"], seed: int = 0) -> StudyResult:
    """Both claims, a row for each way, and the loss by position."""
    own, replaced = losses[0], losses[2]
    n, positions = own.shape
    end = slice(positions - max(1, round(END * positions)), positions)
    level = joint_level(2)
    claims = [
        above(
            f"{what} are predicted better after their own early half than after another document's "
            "(nats per token)",
            mean_over_groups((replaced - own)[:, part].mean(axis=1), level=level, seed=seed),
            0.0,
            n,
        )
        for what, part in (("late tokens", slice(None)), ("the last of the late tokens", end))
    ]
    rows = [
        {
            "early context": way,
            "loss": float(values.mean()),
            "loss of the last": float(values[:, end].mean()),
        }
        for way, values in zip(WAYS, losses, strict=True)
    ]
    lines: list[PlottedLine] = []
    places = list(range(1, positions + 1))
    for way, values in zip(WAYS, losses, strict=True):
        by_position = values.mean(axis=0).tolist()
        lines.append(PlottedLine(f"{way} early half", places, by_position, is_control=way != "own"))
    title = "Loss of late tokens by their early context"
    return StudyResult(
        rows, claims, [LinePlot("losses", title, "token of the late half", "loss (nats)", lines)]
    )
