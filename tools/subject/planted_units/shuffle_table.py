"""The values of shuffled nulls: a real unit's activations over the whole corpus, contexts permuted
within each split.

1. One pass over the corpus keeps the sources' activations at every token.
2. `ShuffledUnit.arrange` permutes them within each split, as the collect pass does.
3. A text that is no context of the corpus gets those of a context of explore, chosen by a hash of
   the text and wrapped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from ...corpus import SPLITS
from ..nulls import ShuffledUnit
from ..subject import Subject
from .corpus_texts import CorpusTexts

BATCH = 32


@dataclass(frozen=True)
class ShuffleTable:
    """Activations by unit, context and position; `raw` before the permutation."""

    texts: CorpusTexts
    raw: dict[str, Float[np.ndarray, "context seq"]]
    arranged: dict[str, Float[np.ndarray, "context seq"]]

    @classmethod
    def of(cls, base: Subject, texts: CorpusTexts, units: Sequence[ShuffledUnit]) -> ShuffleTable:
        """Fill the table in one pass of the subject without planted units."""
        contexts = texts.contexts
        raw = {str(u.unit): np.zeros(contexts.tokens.shape, np.float16) for u in units}
        order = np.argsort(-contexts.length.astype(np.int64), kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids = torch.from_numpy(
                contexts.tokens[rows, : contexts.length[rows[0]]].astype(np.int64)
            )
            found = base.unit_activations(ids, [u.source for u in units]).cpu().numpy()
            for unit, values in zip(units, found, strict=True):
                raw[str(unit.unit)][rows, : ids.shape[1]] = values
        return cls(texts, raw, {str(u.unit): _arranged(u, raw[str(u.unit)], texts) for u in units})

    def values(
        self, unit: ShuffledUnit, ids: Int[np.ndarray, "text seq"]
    ) -> Float[np.ndarray, "text seq"]:
        """The null's activations on texts."""
        found = np.zeros(ids.shape, np.float32)
        for number, key in enumerate(self.texts.keys(ids)):
            place = self.texts.place(key)
            width = len(key) // np.dtype(np.int32).itemsize
            if place is not None:
                found[number, :width] = self.arranged[str(unit.unit)][place.row, :width]
            else:
                found[number, :width] = self._from_a_donor(unit, key, width)
        return found

    def _from_a_donor(
        self, unit: ShuffledUnit, key: bytes, width: int
    ) -> Float[np.ndarray, " seq"]:
        contexts = self.texts.contexts
        donors = np.flatnonzero((contexts.split == 0) & (contexts.length > 1))
        digest = hashlib.sha256(f"{unit.seed}\0{unit.unit}\0".encode() + key).digest()
        row = int(donors[int.from_bytes(digest[:8]) % len(donors)])
        length = int(contexts.length[row])
        position = np.arange(width)
        wrapped = np.where(position < length, position, 1 + (position - 1) % (length - 1))
        return self.raw[str(unit.unit)][row, wrapped].astype(np.float32)


def _arranged(
    unit: ShuffledUnit, raw: Float[np.ndarray, "context seq"], texts: CorpusTexts
) -> np.ndarray:
    contexts, result = texts.contexts, np.zeros_like(raw)
    for split in SPLITS:
        rows = contexts.rows_of(split)
        if len(rows):
            result[rows] = unit.arrange(raw[rows].astype(np.float32), contexts.length[rows], split)
    return result
