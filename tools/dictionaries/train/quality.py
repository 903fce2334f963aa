"""How good a dictionary is, on text that it was not trained on.

1. Explained variance: 1 - sum |reconstruction - y|^2 / sum |y - mean y|^2, over all tokens but the first
   of each context and those whose vectors are far longer than others (`vectors`).
2. L0: the mean number of active latents of a token.
3. Loss: mean cross entropy of the next tokens while the subject goes on with its own vectors (a), the
   reconstructions (b), or an ablation at these tokens: the mean vector, or zeros (x). Recovered is
   (x - b) / (x - a): 1 where reconstructions cost nothing, 0 where they are no better than the
   ablation. A stream of zeros is far from any that a model knows, and nearly everything recovers most
   of that loss; the mean is the harder test.

What an MLP writes is replaced by adding the difference to the stream after the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...errors import UsageError
from ...index.batch_plan import BATCH
from ...subject import capture as forward
from ...subject.address import Site
from ...subject.capture import Edit
from ..dictionary import Dictionary
from .vectors import Text, VectorPair, Vectors, join, site_below, values_at

TOKENS = 4096
"""Of text to measure on, with four passes of the subject over each."""
ROWS = 1024
"""Vectors encoded at once: 17 MB of activations of 4,096 latents."""

Replace = Callable[[Tensor], Tensor]
"""Gives the vectors with which the subject goes on, (row, d_out), from those at the place that a
dictionary reads, (row, d_in)."""


class Fidelity(NamedTuple):
    """How well vectors are reconstructed; `silent` is the share of latents that never are active."""

    tokens: int
    explained_variance: float
    l0: float
    silent: float


class SplicedLoss(NamedTuple):
    """Mean loss in nats, with the subject's own vectors and with others in their place."""

    own: float
    reconstructed: float
    mean: float
    zero: float

    @property
    def recovered_from_mean(self) -> float | None:
        """Share recovered against the mean; None where that costs the subject nothing."""
        return _recovered(self.own, self.reconstructed, self.mean)

    @property
    def recovered_from_zero(self) -> float | None:
        """Share recovered against zeros; None where they cost the subject nothing."""
        return _recovered(self.own, self.reconstructed, self.zero)


def _recovered(own: float, reconstructed: float, ablated: float) -> float | None:
    return (ablated - reconstructed) / (ablated - own) if ablated > own else None


@dataclass(frozen=True)
class Quality:
    """A dictionary's figures on held-back text."""

    fidelity: Fidelity
    loss: SplicedLoss


def held_back_text(text: Text, seed: int, tokens: int = TOKENS) -> Text:
    """Random contexts of a text, up to a number of tokens.

    Raises:
        UsageError: the text has no context of three tokens or more.
    """
    long_enough = np.flatnonzero(text.length > 2)
    if not len(long_enough):
        raise UsageError("no held-back context of three tokens or more; give a longer corpus")
    order = np.random.default_rng(seed).permutation(long_enough)
    before = np.cumsum(text.length[order].astype(np.int64)) - text.length[order]
    chosen = np.sort(order[before < tokens])
    return Text(text.tokens[chosen], text.length[chosen])


@torch.inference_mode()
def measure_quality(
    dictionary: Dictionary,
    held_back: Vectors,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Quality:
    """Measure a dictionary on held-back vectors, whose limits are those of the training.

    Args:
        report: called with the contexts read and all of them.
    """
    pairs = _short_vectors(held_back)
    written = pairs.written
    mean = written.mean(dim=0)
    replacements: list[Replace | None] = [
        None,
        dictionary.reconstruct,
        lambda inputs: mean.expand(len(inputs), -1),
        lambda inputs: torch.zeros(len(inputs), len(mean), device=inputs.device),
    ]
    n = len(held_back.text.length)
    losses: list[float] = []
    for number, replace in enumerate(replacements):
        total, tokens = 0.0, 0
        for contexts in _batches(n):
            report(number * n + int(contexts[0]), 4 * n)
            loss = next_token_losses(held_back, contexts, replace)
            total, tokens = total + float(loss.sum()), tokens + len(loss)
        losses.append(total / tokens)
    report(4 * n, 4 * n)
    return Quality(fidelity(dictionary, pairs), SplicedLoss(*losses))


def fidelity(dictionary: Dictionary, vectors: VectorPair) -> Fidelity:
    """How well a dictionary reconstructs some vectors."""
    targets = vectors.written
    error, active = 0.0, 0
    fired = torch.zeros(dictionary.n_latents, dtype=torch.bool, device=targets.device)
    for start in range(0, len(targets), ROWS):
        rows = torch.arange(start, min(start + ROWS, len(targets)))
        part = vectors.take(rows)
        activations = dictionary.encode(part.inputs)
        error += float((dictionary.decode(activations, part.inputs) - part.written).square().sum())
        active += int((activations > 0).sum())
        fired |= (activations > 0).any(dim=0)
    variance = float((targets - targets.mean(dim=0)).square().sum())
    n, silent = len(targets), 1 - float(fired.float().mean())
    return Fidelity(n, 1 - error / max(variance, 1e-30), active / n, silent)


def next_token_losses(
    vectors: Vectors, contexts: Int[np.ndarray, " context"], replace: Replace | None
) -> Float[Tensor, " token"]:
    """The loss of every token but the first of each context.

    Args:
        replace: what the subject goes on with at the dictionary's place; None for its own vectors.
    """
    subject = vectors.subject
    length = torch.from_numpy(vectors.text.length[contexts].astype(np.int64))
    ids = vectors.text.tokens[contexts, : int(length.max())].astype(np.int64)
    batch = torch.from_numpy(ids).to(subject.device)
    edits = {} if replace is None else _edits(vectors, length, replace)
    logits = forward.stream(
        subject.model, subject.parts, batch, [], lambda _site, _value: None, edits, logits=True
    )
    assert logits is not None
    real = torch.arange(1, ids.shape[1]) < length[:, None]
    real = real.to(batch.device)
    return torch.nn.functional.cross_entropy(
        logits[:, :-1][real].float(), batch[:, 1:][real], reduction="none"
    )


def _edits(
    vectors: Vectors, length: Int[Tensor, " context"], replace: Replace
) -> dict[Site, list[Edit]]:
    """Edits that put other vectors in the dictionary's place, at the tokens that count."""
    subject, settings = vectors.subject, vectors.settings
    below = site_below(settings.reads)
    kept: dict[Site, Tensor] = {}

    def keep(value: Tensor) -> None:
        kept[below] = value

    def put(value: Tensor) -> None:
        read = {below: kept.get(below, value).float()}
        inputs = values_at(subject, settings.reads, read)
        own = values_at(subject, settings.writes, read)
        position = torch.arange(value.shape[1])
        counts = (position > 0) & (position < length[:, None])
        counts = counts.to(value.device) & vectors.is_short(VectorPair(inputs, own))
        change = replace(inputs[counts]) - own[counts]
        value[counts] += change.to(value.dtype)

    if settings.writes.kind == "mlp_out":
        return {below: [keep], Site("stream", settings.writes.layer): [put]}
    return {below: [put]}


def _short_vectors(vectors: Vectors) -> VectorPair:
    """All vectors of a text that are not left out."""
    parts: list[VectorPair] = []
    for contexts in _batches(len(vectors.text.length)):
        part = vectors.read(contexts)
        parts.append(part.take(vectors.is_short(part)))
    return join(parts)


def _batches(n: int) -> Iterator[Int[np.ndarray, " context"]]:
    for start in range(0, n, BATCH):
        yield np.arange(start, min(start + BATCH, n))
