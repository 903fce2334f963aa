"""What planted units, nulls and controls do on a text: all of it that follows from the text and the
suite alone.

Noise follows from the seed, the unit and the text, so that index, collect and instruments see the
same. A shuffled null has, on a corpus context, the values of another context of its split; they are
looked up in a table that one pass over the corpus fills when it is first needed. Controls need what
a pass captures on the way (`sources`).
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
from ..subject import Subject
from .corpus_texts import CorpusTexts
from .shuffle_table import ShuffleTable
from .suite import Suite, SuiteUnit

Rows = Float[np.ndarray, "batch seq"]


class UnitValues:
    """Activations of a suite's units; `described` says which unit of the suite stands at an address."""

    def __init__(
        self, base: Subject, suite: Suite, described: Mapping[Unit, SuiteUnit], texts: CorpusTexts
    ) -> None:
        self._base, self._suite, self._described, self._texts = base, suite, described, texts
        self.artificial = _artificial(base, suite, described)

    def sources(self, unit: Unit) -> tuple[Site, ...]:
        """What a pass must capture for a unit; nothing for one that the text decides."""
        artificial = self.artificial.get(unit)
        return (
            () if artificial is None or isinstance(artificial, ShuffledUnit) else artificial.sources
        )

    def of(
        self, units: Sequence[Unit], rows: Int[np.ndarray, "batch seq"]
    ) -> Float[np.ndarray, "unit batch seq"]:
        """Activations of units without sources."""
        return np.stack([self._of(unit, rows) for unit in units]).astype(np.float32)

    def truth(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        """A planted unit's activations without noise; zeros for a null or control."""
        return self._texts.activations(self._described[unit].parts, rows).sum(axis=0)

    def _of(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        artificial = self.artificial.get(unit)
        if isinstance(artificial, ShuffledUnit):
            return self._table.values(artificial, rows)
        if artificial is not None:
            return artificial.values({}, torch.from_numpy(rows)).numpy()
        noise = self._described[unit].noise
        return (
            self.truth(unit, rows) + noise * self._gaussian(unit, rows)
            if noise
            else self.truth(unit, rows)
        )

    def _gaussian(self, unit: Unit, rows: Int[np.ndarray, "batch seq"]) -> Rows:
        own = _hash64(f"{self._suite.seed}\0{unit}".encode())
        found = np.empty(rows.shape, np.float32)
        for number, key in enumerate(self._texts.keys(rows)):
            generator = np.random.Generator(
                np.random.Philox(key=np.array([own, _hash64(key)], np.uint64))
            )
            found[number] = generator.standard_normal(rows.shape[1], dtype=np.float32)
        return found

    @cached_property
    def _table(self) -> ShuffleTable:
        shuffled = [unit for unit in self.artificial.values() if isinstance(unit, ShuffledUnit)]
        return ShuffleTable.of(self._base, self._texts, shuffled)


def _artificial(
    base: Subject, suite: Suite, described: Mapping[Unit, SuiteUnit]
) -> dict[Unit, ArtificialUnit]:
    """The nulls and controls by address."""
    found: dict[Unit, ArtificialUnit] = {}
    rotated: dict[int, list[Unit]] = {}
    for at, unit in described.items():
        kind, _, source = (unit.null or unit.control).partition(":")
        try:
            if kind == "noise":
                found[at] = nulls.NoiseUnit(unit=at, seed=suite.seed)
            elif kind == "shuffled":
                found[at] = nulls.shuffled_unit(base, at, Unit.parse(source), seed=suite.seed)
            elif kind == "redrawn":
                found[at] = nulls.redrawn_unit(base, at, Unit.parse(source), seed=suite.seed)
            elif kind == "rotated":
                rotated.setdefault(at.layer, []).append(at)
        except UsageError as error:
            raise UsageError(f"{suite.origin}: unit {unit.id!r}: {error}") from None
    for units in rotated.values():
        found |= {
            control.unit: control
            for control in nulls.rotated_units(base, sorted(units), seed=suite.seed)
        }
    return found


def _hash64(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8])
