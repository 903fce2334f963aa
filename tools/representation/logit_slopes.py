"""How the logit of one token over another changes with the stream at a text's last token.

One pass, in which the stream after a layer starts a new graph, and one backward pass of the difference
of the two logits at each text's last token. A text does not see the others of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..errors import ArgumentError
from ..subject.input_texts import InputText, batches

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject


def one_token(subject: Subject, word: str) -> int:
    """The id of a word that is one token; raises ArgumentError for one that is not."""
    ids = subject.tokenize(word).ids
    if len(ids) != 1:
        raise ArgumentError(
            f"{word!r} is {len(ids)} tokens of {subject.name}; give one token, with its space: ' They'"
        )
    return ids[0]


def logit_slopes(
    subject: Subject, texts: Sequence[str], layer: int, target: str, against: str
) -> Float[np.ndarray, "text d_model"]:
    """Gradients of logit(target) - logit(against) by the stream after the layer, at the last token."""
    import torch

    from ..circuits.hooks import temporary_hooks

    tokens = one_token(subject, target), one_token(subject, against)
    rows = [InputText.of_ids(list(subject.tokenize(text).ids)) for text in texts]
    slopes = np.empty((len(rows), subject.d_model), np.float32)
    for batch in batches(rows):
        kept: list[Tensor] = []

        def start(value: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(value.detach().clone().requires_grad_())
            return kept[0]

        last = torch.tensor([len(text.ids) - 1 for text in batch.texts])
        with temporary_hooks() as hooks, torch.enable_grad():
            hooks.on_output(subject.parts.layers[layer].whole, start)
            logits = subject.model(batch.ids.to(subject.device), use_cache=False).logits
            at_last = logits[torch.arange(len(last)), last]
            difference = at_last[:, tokens[0]] - at_last[:, tokens[1]]
            (gradients,) = torch.autograd.grad(difference.sum(), kept[0])
        slopes[batch.numbers] = gradients[torch.arange(len(last)), last].float().cpu().numpy()
    return slopes
