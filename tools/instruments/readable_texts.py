"""Texts that an instrument reads units on: texts that are given, or contexts of explore.

Contexts of explore come from the index's activation store where it has what the units follow from
(`tools.index.activation_store.source`); all else from a pass, which stops at the deepest unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..subject.address import Site, Unit
from ..subject.input_texts import BATCH_TOKENS, InputText, TextBatch, batches

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..index import Index
    from ..index.activation_store.source import Consume, Requests
    from ..subject import Subject


@dataclass(frozen=True)
class ReadableTexts:
    """Texts and how units are read on them.

    Attributes:
        numbers: of the texts among the contexts of explore; None if they are others.
    """

    subject: Subject
    texts: Sequence[InputText]
    index: Index | None = None
    numbers: Sequence[int] | None = None

    @classmethod
    def of_explore(cls, subject: Subject, index: Index, numbers: Sequence[int]) -> ReadableTexts:
        """Some contexts of explore."""
        contexts = index.contexts("explore")
        texts = [
            InputText.of_ids(contexts.tokens[i, : int(contexts.length[i])].tolist())
            for i in numbers
        ]
        return cls(subject, texts, index, numbers)

    def batches(self, budget: int = BATCH_TOKENS) -> Iterator[TextBatch]:
        """The texts in batches, as `input_texts.batches` makes them."""
        return batches(self.texts, budget)

    def read(self, batch: TextBatch, requests: Requests, consume: Consume) -> None:
        """Hand on the requested columns of each site, raw; each site's values once.

        Raises:
            CorruptError: the activation store is damaged.
        """
        from ..index.activation_store.source import (
            ContextBatch,
            SourceRequests,
            SubjectSource,
            explore_sources,
        )

        sources = [SourceRequests(SubjectSource(self.subject), requests)]
        if self.index is not None and self.numbers is not None:
            sources = explore_sources(self.subject, self.index, requests)
        numbers = self.numbers or range(len(self.texts))
        text = ContextBatch(
            np.array([numbers[n] for n in batch.numbers]),
            np.array([len(text.ids) for text in batch.texts]),
            batch.ids.to(self.subject.device),
        )
        for source, of_source in sources:
            source.read(text, of_source, consume)

    def signals(self, unit: Unit) -> list[Float[np.ndarray, " seq"]]:
        """The unit's signal at each token of each text, on the unit's side."""
        signals: dict[int, Float[np.ndarray, " seq"]] = {}
        for batch in self.batches():
            raw = self.raw(batch, unit)
            for row, (number, text) in enumerate(zip(batch.numbers, batch.texts, strict=True)):
                signals[number] = unit.signal(raw[row, : len(text.ids)])
        return [signals[number] for number in range(len(self.texts))]

    def raw(self, batch: TextBatch, unit: Unit) -> Float[np.ndarray, "text seq"]:
        """A unit's raw activations on a batch."""
        from ..subject.non_finite import require_finite

        subject = self.subject
        read: list[Float[np.ndarray, "text seq"]] = []

        def keep(_site: Site, values: Tensor) -> None:
            require_finite(values, subject.name, subject.dtype, str(unit), edited=False)
            read.append(values[..., 0].float().cpu().numpy())

        self.read(batch, {unit.place: [subject.shape.column(unit)]}, keep)
        return read[0]
