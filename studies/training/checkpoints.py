"""What is measured of each checkpoint of a model: losses, and where its heads attend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...tools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int
    from torch import Tensor

    from ...tools.subject import Intervention, Subject
    from ..measurements import Measured

CONTEXT_LEN = 64
COPY_LEN = 16
"""Tokens of a row before it is repeated; fewer where the subject's context or vocabulary is smaller."""
LEAST_LEN = 8
"""Tokens of a text that is worth a loss."""


def measure_checkpoint(
    subject: Subject, corpus: str, documents: int, rows: int, seed: int
) -> Measured:
    """Losses of texts and of both copies of each repeated row, and each head's attention on them.

    Raises:
        UsageError: the corpus has too few documents, or the subject is an encoder.
    """
    subject.require_decoder("a trajectory")
    ids = repeated_rows(subject, rows, seed)
    measured = measure_rows(subject, ids, *copies(ids))
    loss = text_losses(subject, corpus, documents) if corpus else measured["second"]
    return {**measured, "loss": loss}


def measure_rows(
    subject: Subject,
    ids: Int[Tensor, "row seq"],
    first: Sequence[int],
    second: Sequence[int],
) -> Measured:
    """Losses of the tokens after some positions of each row, and each head's attention.

    Args:
        first: positions whose next token cannot be predicted; `second`: whose next token the
            context repeats.
    """
    from ...tools.circuits.attention import attention_patterns, head_kinds

    patterns, kinds = attention_patterns(subject, ids).float().cpu(), head_kinds(ids)
    scores: dict[str, np.ndarray] = {}
    for kind in ("previous", "induction"):
        queries = kinds[kind].any(-1).sum(-1)  # row
        attention = (patterns * kinds[kind][None, :, None]).sum((3, 4))  # layer row head
        scores[kind] = (attention / queries[None, :, None]).transpose(0, 1).numpy()
    losses = _losses(subject, ids, None)
    shape = [*scores["induction"].shape[1:], subject.d_model, subject.n_vocabulary]
    return {
        "first": losses[:, list(first)].mean(axis=1),
        "second": losses[:, list(second)].mean(axis=1),
        "shape": np.array(shape),
        **scores,
    }


def measure_removed(
    subject: Subject, ids: Int[Tensor, "row seq"], second: Sequence[int], layer: int
) -> Measured:
    """The second loss of each row without each head of a layer: [head, row]."""
    from ...tools.subject import Intervention, Unit

    heads = [Unit("head", layer, head) for head in range(subject.shape.n_heads)]
    without = [[[Intervention(head, "zero")]] * len(ids) for head in heads]
    losses = [_losses(subject, ids, changes)[:, list(second)].mean(axis=1) for changes in without]
    return {"second": np.stack(losses)}


def same_shape(name: str, measured: Measured, other_name: str, other: Measured) -> None:
    """Raise UsageError unless two checkpoints can be of one model."""
    shape, other_shape = measured["shape"].tolist(), other["shape"].tolist()
    if shape != other_shape:
        raise UsageError(
            f"{other_name} has {_in_words(other_shape)}, and {name} has {_in_words(shape)}; give "
            "checkpoints of one model, in the order of training"
        )


def _in_words(shape: list[int]) -> str:
    layers, heads, width, vocabulary = shape
    return f"{layers} layers of {heads} heads, width {width}, and {vocabulary} tokens"


def repeated_rows(subject: Subject, rows: int, seed: int) -> Int[Tensor, "row twice_length"]:
    """Random tokens, each row repeated once."""
    from ...tools.circuits.attention import repeated_tokens

    length = min(COPY_LEN, subject.context_length // 2, subject.n_vocabulary)
    return repeated_tokens(subject, rows, length, seed)


def copies(ids: Int[Tensor, "row twice_length"]) -> tuple[list[int], list[int]]:
    """Positions whose next token is in the first copy, and in the second.

    The first token of the second copy is in neither: it is a repeat that cannot be predicted.
    """
    half = ids.shape[1] // 2
    return list(range(half - 1)), list(range(half, 2 * half - 1))


def text_losses(subject: Subject, corpus: str, documents: int) -> Float[np.ndarray, " text"]:
    """Mean loss of the first tokens of each document, nats a token.

    Raises:
        UsageError: there are too few documents.
    """
    import torch

    from ...tools.corpus import read_corpus

    length = min(CONTEXT_LEN, subject.context_length)
    losses: list[float] = []
    for document in read_corpus(corpus).documents:
        ids = list(subject.tokenize(document.text).ids[:length])
        if len(ids) >= LEAST_LEN:
            losses.append(float(_losses(subject, torch.tensor([ids]), None).mean()))
        if len(losses) == documents:
            return np.array(losses)
    raise UsageError(
        f"{corpus} has {len(losses)} documents of {LEAST_LEN} tokens or more, and --documents is "
        f"{documents}; give more text, or fewer --documents"
    )


def _losses(
    subject: Subject,
    ids: Int[Tensor, "row seq"],
    interventions: Sequence[Sequence[Intervention]] | None,
) -> Float[np.ndarray, "row position"]:
    logits = subject.capture(ids, [], logits=True, interventions=interventions).logits
    assert logits is not None  # requested
    log_p = logits[:, :-1].float().log_softmax(-1)
    following = ids[:, 1:, None].to(log_p.device)
    return -log_p.gather(2, following)[..., 0].cpu().numpy()
