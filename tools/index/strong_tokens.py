"""Tokens of explore at which a neuron is strong, one of each context, with what its MLP reads there.

From the index's activation store where it has the layer, else from a pass of the subject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..subject.address import Site, Unit

if TYPE_CHECKING:
    from torch import Tensor

    from ..corpus import Contexts
    from ..subject.subject import Subject
    from .index import Index


class StrongTokens(NamedTuple):
    """The strongest token of each context that has a strong one.

    Attributes:
        context: row of `contexts`; position: of the token in it.
        activation: on the unit's side, above 0.
        mlp_in: the normalised stream that the unit's MLP reads.
    """

    contexts: Contexts
    context: Int[np.ndarray, " token"]
    position: Int[np.ndarray, " token"]
    activation: Float[np.ndarray, " token"]
    mlp_in: Float[np.ndarray, "token width"]

    @property
    def token(self) -> Int[np.ndarray, " token"]:
        """Ids of the tokens."""
        return self.contexts.tokens[self.context, self.position]

    @property
    def document(self) -> Int[np.ndarray, " token"]:
        """The document that each is in."""
        return self.contexts.document[self.context]

    def around(self, row: int, vocabulary: list[str], before: int, after: int) -> str:
        """The text around a token, which is in brackets."""
        context, position = int(self.context[row]), int(self.position[row])
        length = int(self.contexts.length[context])
        places = range(max(1, position - before), min(length, position + after + 1))
        words = [vocabulary[self.contexts.tokens[context, place]] for place in places]
        here = position - places.start
        words[here] = words[here].replace(words[here].strip(), f"[{words[here].strip()}]", 1)
        return "".join(words).strip()


def strong_tokens(subject: Subject, index: Index, unit: Unit, share: float) -> StrongTokens:
    """Tokens among the strongest `share` of all, on the unit's side (the positive one if it has none).

    Raises:
        UsageError: the subject has no such unit.
        CorruptError: the activation store is damaged.
    """
    import torch

    from .activation_store.source import ContextBatch, explore_sources
    from .batch_plan import batch_rows, reading_order

    contexts = index.contexts("explore")
    column = subject.shape.column(unit)
    neuron, stream = unit.place, Site("mlp_in", unit.layer)
    sources = explore_sources(subject, index, {neuron: [column], stream: None})
    sign = -1 if unit.side == "-" else 1
    signal = np.full(contexts.tokens.shape, -np.inf, np.float32)
    peak = np.zeros(len(contexts), np.int64)
    mlp_in = np.zeros((len(contexts), subject.d_model), np.float32)
    order = reading_order(contexts.length)
    step = batch_rows(contexts)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        length = contexts.length[rows].astype(np.int64)
        ids = torch.from_numpy(contexts.tokens[rows, : length[0]].astype(np.int64))
        read: dict[Site, Tensor] = {}
        for source, requests in sources:
            source.read(
                ContextBatch(rows, length, ids.to(subject.device)), requests, read.__setitem__
            )
        values = sign * read[neuron][..., 0].float().cpu().numpy()
        place = np.arange(values.shape[1])
        counts = (place > 0) & (place < length[:, None])
        signal[rows, : values.shape[1]] = np.where(counts, values, -np.inf)
        peak[rows] = signal[rows].argmax(axis=1)
        mlp_in[rows] = read[stream][torch.arange(len(rows)), torch.from_numpy(peak[rows])].cpu()
    threshold = max(0.0, float(np.quantile(signal[np.isfinite(signal)], 1 - share)))
    highest = signal[np.arange(len(contexts)), peak]
    strong = np.flatnonzero(highest > threshold)
    return StrongTokens(contexts, strong, peak[strong], highest[strong], mlp_in[strong])
