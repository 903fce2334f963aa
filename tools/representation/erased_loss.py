"""What erasing a concept costs: the subject's loss on texts while a layer's stream is erased.

1. At every token the stream after the layer is replaced by the eraser's value, in float32.
2. The loss of a text is the mean of -log p over its tokens but the first, in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..subject import capture
from ..subject.address import Site
from ..subject.input_texts import InputText, batches

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject
    from .erasure import Eraser


def losses(
    subject: Subject, token_ids: Sequence[Sequence[int]], layer: int, eraser: Eraser | None = None
) -> Float[np.ndarray, " text"]:
    """The mean loss of each text; every text must have two tokens or more."""
    import torch

    edits = {} if eraser is None else {Site("stream", layer): [partial(erase_stream, eraser)]}
    loss = np.empty(len(token_ids))
    for batch in batches([InputText.of_ids(list(ids)) for ids in token_ids]):
        ids = batch.ids.to(subject.device)
        logits = capture.stream(
            subject.model, subject.parts, ids, [], lambda _site, _value: None, edits, logits=True
        )
        assert logits is not None
        for row, (number, text) in enumerate(zip(batch.numbers, batch.texts, strict=True)):
            length = len(text.ids)
            loss[number] = torch.nn.functional.cross_entropy(
                logits[row, : length - 1].float(), ids[row, 1:length]
            ).item()
    return loss


def erase_stream(eraser: Eraser, stream: Float[Tensor, "*batch width"]) -> None:
    """Erase in place."""
    import torch

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=stream.device)

    along = (stream.float() - tensor(eraser.mean)) @ tensor(eraser.right).T
    stream -= (along @ tensor(eraser.left).T).to(stream.dtype)
