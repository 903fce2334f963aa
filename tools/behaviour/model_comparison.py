"""Two subjects on the same texts: predictions token by token, and layer by layer on the same input.

1. Predictions: at each token, KL(first ‖ second) of the next-token distributions, in nats, and the
   loss of the token that follows under each.
2. Layers: the second subject reads the text, but the input of each of its layers is replaced by what
   the first subject has there. What its layer writes then differs from what the first one's writes
   only if this very layer differs, and not because an earlier one does. The figure is the length of
   the difference over the length of what the first one's layer writes, over the tokens of a text.
3. Units: the correlation over tokens of each MLP neuron's activation in the two, on the same input.

All of it is exact: the same weights give a KL and a difference of 0 and a correlation of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from ..subject.address import Site

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject

ROWS_PER_PASS = 4
"""Texts of 64 tokens of which all layers' streams and neurons are held: 65 MB with the default subject."""


@dataclass(frozen=True, eq=False)
class PredictionChange:
    """One entry for each text and token but the last; losses are those of the token that follows.

    NaN after the end of a text that is shorter than others.
    """

    kl: Float[np.ndarray, "text read"]
    loss: Float[np.ndarray, "text read"]
    other_loss: Float[np.ndarray, "text read"]


@dataclass(frozen=True, eq=False)
class LayerChange:
    """How far each layer of two subjects differs on the same input.

    Attributes:
        relative: length of the difference of what is written over that of what the first writes.
        correlation: of each neuron in the two; NaN where it is constant.
    """

    relative: Float[np.ndarray, "text layer"]
    correlation: Float[np.ndarray, "layer neuron"]


def compare_predictions(
    first: Subject, second: Subject, texts: Sequence[Sequence[int]]
) -> PredictionChange:
    """KL and losses at each token of some texts.

    Raises:
        UsageError: the subjects have other vocabularies, or a text has fewer than two tokens.
    """
    import torch

    if first.n_vocabulary != second.n_vocabulary:
        raise UsageError(
            f"{first.name} has {first.n_vocabulary} tokens and {second.name} {second.n_vocabulary}; "
            "token by token only subjects with one vocabulary can be compared: use the study "
            "similarity-between"
        )
    shape = len(texts), max(len(ids) for ids in texts) - 1
    kl, loss, other_loss = (np.full(shape, np.nan) for _ in range(3))
    for rows in batches_of_one_length(texts):
        ids = torch.tensor([list(texts[row]) for row in rows])
        read = slice(ids.shape[1] - 1)
        p, q = (_log_probs(subject, ids) for subject in (first, second))
        kl[rows, read] = (p.exp() * (p - q)).sum(-1).clamp(min=0)  # below 0 only by rounding
        for losses, log_probs in ((loss, p), (other_loss, q)):
            losses[rows, read] = -log_probs.gather(-1, ids[:, 1:, None])[..., 0]
    return PredictionChange(kl, loss, other_loss)


def compare_layers_on_same_input(
    first: Subject, second: Subject, texts: Sequence[Sequence[int]]
) -> LayerChange:
    """What each layer writes, and each neuron, when both subjects' layers get the first one's input.

    Raises:
        UsageError: the subjects have other shapes, or a text has fewer than two tokens.
    """
    import torch

    shapes = [(s.shape.n_layers, s.d_model, s.shape.n_neurons) for s in (first, second)]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"{first.name} and {second.name} have (layers, d_model, neurons) {shapes[0]} and "
            f"{shapes[1]}; layers on the same input need subjects of one shape"
        )
    relative = np.zeros((len(texts), first.shape.n_layers))
    moments: list[Tensor] = []
    for batch in batches_of_one_length(texts):
        ids = torch.tensor([list(texts[row]) for row in batch])
        inputs, own = _read_layers(first, ids)
        other = _read_layers(second, ids, inputs)[1]
        rows: list[Tensor] = []
        sums: list[Tensor] = []
        for layer in range(first.shape.n_layers):
            stream, neurons = Site("stream", layer), Site("mlp", layer)
            written = own[stream][:, 1:] - inputs[layer][:, 1:]
            difference = other[stream][:, 1:] - own[stream][:, 1:]
            rows.append(difference.flatten(1).norm(dim=1) / written.flatten(1).norm(dim=1))
            sums.append(_moments(own[neurons][:, 1:], other[neurons][:, 1:]))
        relative[batch] = torch.stack(rows, dim=1).double().cpu().numpy()
        moments.append(torch.stack(sums))
    return LayerChange(relative, _correlation(torch.stack(moments).sum(0)))


def batches_of_one_length(texts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The numbers of texts that a subject can read in one pass, for all of them.

    Raises:
        UsageError: a text has fewer than two tokens.
    """
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(texts):
        by_length.setdefault(len(ids), []).append(row)
    if not texts or min(by_length) < 2:
        raise UsageError(
            f"{len(texts)} texts of {sorted(by_length)[:4]} tokens given; a comparison needs texts "
            "of two tokens at least"
        )
    return [
        rows[start : start + ROWS_PER_PASS]
        for rows in by_length.values()
        for start in range(0, len(rows), ROWS_PER_PASS)
    ]


def _log_probs(subject: Subject, ids: Tensor) -> Float[Tensor, "text read vocab"]:
    logits = subject.capture(ids, [], logits=True).logits
    assert logits is not None  # requested
    return logits[:, :-1].cpu().double().log_softmax(-1)


def _read_layers(
    subject: Subject, ids: Tensor, replaced: Sequence[Tensor] | None = None
) -> tuple[list[Tensor], dict[Site, Tensor]]:
    """Each layer's input, and streams and neurons; with `replaced`, each layer reads that instead."""
    from ..circuits.hooks import temporary_hooks

    layers = subject.parts.layers
    inputs: list[Tensor] = []
    sites = [Site(kind, layer) for layer in range(len(layers)) for kind in ("stream", "mlp")]
    captured: dict[Site, Tensor] = {}
    with temporary_hooks() as hooks:
        for number, layer in enumerate(layers):

            def visit(value: Tensor, number: int = number) -> Tensor | None:
                inputs.append(value)
                return None if replaced is None else replaced[number].to(value)

            hooks.on_input(layer.whole, visit)
        captured = subject.capture(ids, sites).activations
    return inputs, captured


def _moments(
    x: Float[Tensor, "text read neuron"], y: Float[Tensor, "text read neuron"]
) -> Float[Tensor, "moment neuron"]:
    import torch

    x, y = x.flatten(0, 1).double().cpu(), y.flatten(0, 1).double().cpu()
    count = torch.full_like(x[0], len(x))
    return torch.stack([count, x.sum(0), y.sum(0), (x * x).sum(0), (y * y).sum(0), (x * y).sum(0)])


def _correlation(
    moments: Float[Tensor, "layer moment neuron"],
) -> Float[np.ndarray, "layer neuron"]:
    n, x, y, xx, yy, xy = (moments[:, place].numpy() for place in range(6))
    spread = (n * xx - x * x, n * yy - y * y)
    constant = (spread[0] <= 1e-12 * n * xx) | (spread[1] <= 1e-12 * n * yy)
    length = np.sqrt(np.where(constant, np.nan, spread[0] * spread[1]))
    return np.clip((n * xy - x * y) / length, -1, 1)
