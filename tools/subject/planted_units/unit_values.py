"""Activations of planted units, nulls and controls on a text, as far as text and suite decide them.

Noise is a function of the seed, the unit and the text, so that indexing, collecting and instruments
see the same values. A shuffled null has, on a corpus context, the values of another context of its
split; a table of them is filled when first needed, from an activation store or by a pass. Controls
need activations that a pass captures on the way (`sources`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from ...errors import UsageError
from .. import nulls
from ..address import Site, Unit
from ..nulls import ArtificialUnit, ShuffledUnit
from ..subject import StoredActivations, Subject
from .corpus_texts import CorpusTexts
from .shuffle_table import ShuffleTable
from .suite import Suite, SuiteUnit

Rows = Float[np.ndarray, "batch seq"]


class UnitValues:
    """Activations of a suite's units.

    Attributes:
        artificial: its nulls and controls by address.
        stored: the subject's own activations on the corpus, if an index has them.
    """

    def __init__(
        self,
        base: Subject,
        suite: Suite,
        suite_unit_at: Mapping[Unit, SuiteUnit],
        texts: CorpusTexts,
    ) -> None:
        self._base, self._suite, self._texts = base, suite, texts
        self._suite_unit_at = suite_unit_at
        self.stored: StoredActivations | None = None
        self.artificial = _artificial_units(base, suite, suite_unit_at)

    def read_stored(self, stored: StoredActivations) -> None:
        """Take shuffled nulls from stored activations from now on.

        A table from a pass is dropped. It differs by the store's rounding, so that a process that
        made the index would see other values than one that finds it.
        """
        if self.stored is None:
            self.__dict__.pop("_shuffle_table", None)
        self.stored = stored

    def sources(self, unit: Unit) -> tuple[Site, ...]:
        """What a pass must capture for a unit; empty if the text decides its values."""
        artificial = self.artificial.get(unit)
        if artificial is None or isinstance(artificial, ShuffledUnit):
            return ()
        return artificial.sources

    @property
    def shuffled(self) -> list[ShuffledUnit]:
        """The shuffled nulls."""
        return [unit for unit in self.artificial.values() if isinstance(unit, ShuffledUnit)]

    def of(
        self, units: Sequence[Unit], rows: Int[np.ndarray, "batch seq"]
    ) -> Float[np.ndarray, "unit batch seq"]:
        """Activations of units without sources."""
        return np.stack([self._of(unit, rows) for unit in units]).astype(np.float32)

    def truth(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        """A planted unit's activations without noise; zeros for a null or control."""
        return self._texts.activations(self._suite_unit_at[unit].parts, rows).sum(axis=0)

    def _of(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        artificial = self.artificial.get(unit)
        if isinstance(artificial, ShuffledUnit):
            return self._shuffle_table.values(artificial, rows)
        if artificial is not None:
            return artificial.values({}, torch.from_numpy(rows)).numpy()
        truth, noise = self.truth(unit, rows), self._suite_unit_at[unit].noise
        return truth + noise * self._gaussian(unit, rows) if noise else truth

    def _gaussian(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        unit_key = _hash64(f"{self._suite.seed}\0{unit}".encode())
        noise = np.empty(rows.shape, np.float32)
        for row, text in enumerate(self._texts.keys(rows)):
            key = np.array([unit_key, _hash64(text)], np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key))
            noise[row] = generator.standard_normal(rows.shape[1], dtype=np.float32)
        return noise

    @cached_property
    def _shuffle_table(self) -> ShuffleTable:
        return ShuffleTable.fill(self._base, self._texts, self.shuffled, self.stored)


def _artificial_units(
    base: Subject, suite: Suite, suite_unit_at: Mapping[Unit, SuiteUnit]
) -> dict[Unit, ArtificialUnit]:
    """The nulls and controls by address."""
    artificial: dict[Unit, ArtificialUnit] = {}
    rotated: dict[int, list[Unit]] = {}
    seed = suite.seed
    for address, unit in suite_unit_at.items():
        kind, _, source = (unit.null or unit.control).partition(":")
        try:
            if kind == "noise":
                artificial[address] = nulls.NoiseUnit(unit=address, seed=seed)
            elif kind == "shuffled":
                null = nulls.shuffled_unit(base, address, Unit.parse(source), seed=seed)
                artificial[address] = null
            elif kind == "redrawn":
                control = nulls.redrawn_unit(base, address, Unit.parse(source), seed=seed)
                artificial[address] = control
            elif kind == "rotated":
                rotated.setdefault(address.layer, []).append(address)
        except UsageError as error:
            raise UsageError(f"{suite.origin}: unit {unit.id!r}: {error}") from None
    for addresses in rotated.values():
        controls = nulls.rotated_units(base, sorted(addresses), seed=seed)
        artificial |= {control.unit: control for control in controls}
    return artificial


def _hash64(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8])
