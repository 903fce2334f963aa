"""The values of shuffled nulls: a real unit's activations over the whole corpus, with contexts
permuted within each split.

1. The source units' activations at every token come from the activation store of the index, if one
   is known, or else from a pass over the corpus, which stops at the deepest of them.
2. `ShuffledUnit.arrange` permutes them within each split, as the collect pass does.
3. A text that is not a context of the corpus gets the values of a context of explore, chosen by a
   hash of the text and repeated up to its length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from ...corpus import SPLITS
from ..address import Unit
from ..nulls import ShuffledUnit
from ..subject import StoredActivations, Subject
from .corpus_texts import CorpusTexts, key_length

BATCH = 32


@dataclass(frozen=True)
class ShuffleTable:
    """Activations by unit, context and position; `raw` before the permutation."""

    texts: CorpusTexts
    raw: dict[str, Float[np.ndarray, "context seq"]]
    arranged: dict[str, Float[np.ndarray, "context seq"]]

    @classmethod
    def fill(
        cls,
        base: Subject,
        texts: CorpusTexts,
        units: Sequence[ShuffledUnit],
        stored: StoredActivations | None = None,
    ) -> ShuffleTable:
        """Fill the table for the subject without planted units.

        Args:
            stored: reads its activations on the corpus.
        """
        sources = [unit.source for unit in units]
        activations = _read_stored(texts, sources, stored)
        if activations is None:
            activations = _run(base, texts, sources)
        raw = {str(unit.unit): values for unit, values in zip(units, activations, strict=True)}
        return cls(texts, raw, {str(u.unit): _arrange(u, raw[str(u.unit)], texts) for u in units})

    def values(
        self, unit: ShuffledUnit, ids: Int[np.ndarray, "text seq"]
    ) -> Float[np.ndarray, "text seq"]:
        """The null's activations on texts."""
        values = np.zeros(ids.shape, np.float32)
        for row, key in enumerate(self.texts.keys(ids)):
            place, length = self.texts.place(key), key_length(key)
            if place is not None:
                values[row, :length] = self.arranged[str(unit.unit)][place.row, :length]
            else:
                values[row, :length] = self._from_donor(unit, key, length)
        return values

    def _from_donor(self, unit: ShuffledUnit, key: bytes, length: int) -> Float[np.ndarray, " seq"]:
        contexts = self.texts.contexts
        donors = np.flatnonzero((contexts.split == 0) & (contexts.length > 1))
        digest = hashlib.sha256(f"{unit.seed}\0{unit.unit}\0".encode() + key).digest()
        row = int(donors[int.from_bytes(digest[:8]) % len(donors)])
        donor_length = int(contexts.length[row])
        position = np.arange(length)
        repeated = 1 + (position - 1) % (donor_length - 1)
        index = np.where(position < donor_length, position, repeated)
        return self.raw[str(unit.unit)][row, index].astype(np.float32)


def _arrange(
    unit: ShuffledUnit, raw: Float[np.ndarray, "context seq"], texts: CorpusTexts
) -> Float[np.ndarray, "context seq"]:
    contexts, arranged = texts.contexts, np.zeros_like(raw)
    for split in SPLITS:
        rows = contexts.rows_of(split)
        if len(rows):
            values = raw[rows].astype(np.float32)
            arranged[rows] = unit.arrange(values, contexts.length[rows], split)
    return arranged


def _run(
    base: Subject, texts: CorpusTexts, units: Sequence[Unit]
) -> Float[np.ndarray, "unit context seq"]:
    """The units' activations on all contexts of the corpus."""
    contexts = texts.contexts
    raw = np.zeros((len(units), *contexts.tokens.shape), np.float16)
    # Contexts of like length go into one batch, so that there is little padding.
    order = np.argsort(-contexts.length.astype(np.int64), kind="stable")
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        tokens = contexts.tokens[rows, : contexts.length[rows[0]]].astype(np.int64)
        activations = base.unit_activations(torch.from_numpy(tokens), units).cpu().numpy()
        with np.errstate(over="ignore"):  # infinite where float16 cannot hold it
            raw[:, rows, : tokens.shape[1]] = activations
    return raw


def _read_stored(
    texts: CorpusTexts, units: Sequence[Unit], stored: StoredActivations | None
) -> Float[np.ndarray, "unit context seq"] | None:
    """The same from an activation store; None where it has not all of them."""
    contexts = texts.contexts
    raw = np.zeros((len(units), *contexts.tokens.shape), np.float16)
    for split in SPLITS:
        values, rows = stored(split, units) if stored else None, contexts.rows_of(split)
        if values is None or values.shape[1:] != contexts.tokens[rows].shape:
            return None
        with np.errstate(over="ignore"):  # as above
            raw[:, rows] = values
    return raw
