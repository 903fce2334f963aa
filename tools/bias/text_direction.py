"""The direction that tells the two texts of an item apart, and the subject with it erased.

1. Vectors: the stream after one layer, at each position of an item's two texts from the first token
   that differs on. Label: for WinoBias the gender of the pronoun, for other sets whether the text is
   the stereotype.
2. The eraser of that label (`representation/erasure`) is fitted to them.
3. The subject runs with the stream erased at every position but the first, an attention sink.
4. A placebo is an eraser of the same vectors with labels that are exchanged in some items, by a coin,
   and it is stretched until it changes the vectors as much.

Belrose et al., "LEACE: Perfect linear concept erasure in closed form" (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..circuits.hooks import temporary_hooks
from ..representation.erased_loss import erase_stream
from ..representation.erasure import Eraser, fit_eraser
from ..subject.address import Site
from ..subject.input_texts import InputText, batches
from .items import BiasItem, BiasSetName

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject


class LabelledVectors(NamedTuple):
    """The stream after one layer, with its labels and the numbers of its items."""

    vectors: Float[np.ndarray, "example width"]
    label: Bool[np.ndarray, " example"]
    item: Int[np.ndarray, " example"]


def labelled_vectors(
    subject: Subject, name: BiasSetName, items: Sequence[BiasItem], layer: int
) -> LabelledVectors:
    """Step 1."""
    texts = [text for item in items for text in item.texts[:2]]
    starts = [_first_difference(item) for item in items for _ in range(2)]
    is_first_true = [name != "winobias" or item.domain == "male" for item in items]
    site = Site("stream", layer)
    vectors: list[np.ndarray] = [np.empty(0)] * len(texts)
    for batch in batches([InputText.of_ids(list(text.ids)) for text in texts]):
        stream = subject.capture(batch.ids, [site]).activations[site]
        for row, number in enumerate(batch.numbers):
            own = stream[row, starts[number] : len(texts[number].ids)]
            vectors[number] = own.double().cpu().numpy()
    lengths = [len(own) for own in vectors]
    label = (np.arange(len(texts)) % 2 == 0) == np.repeat(is_first_true, 2)
    item = np.arange(len(texts)) // 2
    return LabelledVectors(
        np.concatenate(vectors), np.repeat(label, lengths), np.repeat(item, lengths)
    )


def _first_difference(item: BiasItem) -> int:
    pairs = zip(item.texts[0].ids, item.texts[1].ids, strict=False)
    return next(place for place, (first, second) in enumerate(pairs) if first != second)


def text_eraser(examples: LabelledVectors) -> Eraser:
    """Step 2."""
    return fit_eraser(examples.vectors, examples.label, shrink=True)


def placebo_eraser(examples: LabelledVectors, eraser: Eraser, rng: np.random.Generator) -> Eraser:
    """Step 4."""
    is_exchanged = rng.random(examples.item.max() + 1) < 0.5
    placebo = fit_eraser(
        examples.vectors, examples.label ^ is_exchanged[examples.item], shrink=True
    )
    stretch = change(eraser, examples.vectors) / change(placebo, examples.vectors)
    return placebo._replace(left=placebo.left * stretch)


def change(eraser: Eraser, vectors: Float[np.ndarray, "example width"]) -> float:
    """Root mean square of what an eraser changes in some vectors."""
    return float(np.sqrt(((eraser(vectors) - vectors) ** 2).sum(axis=1).mean()))


@contextmanager
def erased_stream(subject: Subject, layer: int, eraser: Eraser) -> Iterator[None]:
    """Step 3, for every pass of the subject within the block."""

    def erase(stream: Tensor) -> Tensor:
        erased = stream.clone()
        erase_stream(eraser, erased[:, 1:])
        return erased

    with temporary_hooks() as hooks:
        hooks.on_output(subject.parts.layers[layer].whole, erase)
        yield
