"""The Jacobian lens: what a vector in the middle of the model disposes it to say, to first order.

1. J_l is the mean over texts and source positions t of sum_{t' >= t} d h_last(t') / d h_l(t): how the
   stream after the last layer, at this and all later tokens, changes with the stream after layer l.
2. One backward pass per dimension of the last stream, with that dimension's cotangent at every position
   at once, gives its row of J_l for all layers. Texts, and copies of them for further dimensions, run
   side by side; the rows of the texts are averaged.
3. The lens reads J_l h as if it were the last stream: final norm, unembedding. The logit lens reads h
   itself, as if the layers in between changed nothing. After the last layer J is the identity, and both
   are the model's own output.
4. Position 0 is left out of the mean: it is an attention sink, with derivatives of its own.

"Verbalizable Representations Form a Global Workspace in Language Models" (Anthropic, 2026) for the
lens; nostalgebraist, "interpreting GPT: the logit lens" (2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject

TOKENS = 512
"""Of a pass. Copies of the texts carry a dimension each, since passes over few tokens mostly wait; the
gradients of 2,048 tokens of SmolLM2-135M take 3 GB."""


def mean_jacobian(
    subject: Subject,
    ids: Int[Tensor, "text seq"],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float[np.ndarray, "layer d_model d_model"]:
    """J_l of each layer, from texts of equal length; [layer, last stream, stream after the layer]."""
    import torch

    n_layers, width = subject.shape.n_layers, subject.d_model
    copies = max(1, min(width, TOKENS // ids.numel()))
    jacobian = np.zeros((n_layers, width, width), dtype=np.float32)
    with _streams(subject) as kept, torch.enable_grad():
        subject.model(ids.repeat(copies, 1).to(subject.device), use_cache=False, logits_to_keep=1)
        streams = [kept[layer] for layer in range(n_layers)]
        last = streams[-1]
        for start in range(0, width, copies):
            rows = range(start, min(start + copies, width))
            cotangent = torch.zeros_like(last).unflatten(0, (copies, len(ids)))
            for copy, row in enumerate(rows):
                cotangent[copy, :, 1:, row] = 1
            slopes = torch.autograd.grad(
                last, streams, cotangent.flatten(0, 1), retain_graph=True, materialize_grads=True
            )
            for layer, slope in enumerate(slopes):
                by_copy = slope.unflatten(0, (copies, len(ids)))[: len(rows), :, 1:]
                jacobian[layer, rows] = by_copy.float().mean(dim=(1, 2)).cpu().numpy()
            progress(rows.stop, width)
    return jacobian


@contextmanager
def _streams(subject: Subject) -> Iterator[dict[int, Tensor]]:
    """The stream after each layer of the next pass, with gradients; the weights have none."""
    from ..circuits.hooks import temporary_hooks

    kept: dict[int, Any] = {}

    def start(value: Tensor) -> Tensor:
        return value.detach().clone().requires_grad_()

    def keep(layer: int, value: Tensor) -> None:
        kept[layer] = value

    with temporary_hooks() as hooks:
        hooks.on_output(subject.model.get_input_embeddings(), start)
        for layer, parts in enumerate(subject.parts.layers):
            hooks.on_output(parts.whole, partial(keep, layer))
        yield kept


def lens_logits(
    subject: Subject,
    streams: Float[Tensor, "row d_model"],
    jacobian: Float[np.ndarray, "d_model d_model"] | None,
) -> Float[Tensor, "row vocab"]:
    """What the lens reads from vectors of one layer; without a Jacobian, the logit lens."""
    import torch

    if jacobian is not None:
        matrix = torch.from_numpy(jacobian).to(streams.device, streams.dtype)
        streams = streams @ matrix.T
    return subject.logits_from(streams)
