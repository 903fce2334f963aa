"""Which units of an index are measured, and their collected activations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ...tools.files import cache_dir
from ...tools.index import Index, collect
from ...tools.subject.address import Shape, Site, Unit, parse_targets
from ...tools.subject.nulls import RotatedUnit, rotated_units

if TYPE_CHECKING:
    from ...agent.runlog.progress import Reporter
    from ...tools.subject import Subject

Kind = Literal["neuron", "head", "rotated"]


@dataclass(frozen=True)
class UnitDraw:
    """How many units of which layers are drawn.

    Attributes:
        neurons: of each layer; rotated: directions of each layer; heads: of all layers together.
        halves: units of each layer and kind that are explained on two halves as well.
    """

    layers: tuple[int, ...]
    neurons: int = 50
    heads: int = 24
    rotated: int = 25
    halves: int = 6
    seed: int = 7


class MeasuredUnit(NamedTuple):
    """A unit, and whether it is also explained on two halves of the documents."""

    unit: Unit
    kind: Kind
    in_halves: bool


@dataclass(frozen=True)
class DrawnUnits:
    """The units of a draw. A rotated direction has an address after its layer's last neuron."""

    subject: Subject
    index: Index
    draw: UnitDraw

    @cached_property
    def units(self) -> list[MeasuredUnit]:
        """Neurons and rotated directions by layer, then heads."""
        draw, shape = self.draw, self.subject.shape
        groups: list[tuple[Kind, list[Unit]]] = []
        for layer in draw.layers:
            count = shape.count(Site("mlp", layer))
            if draw.neurons:
                spec = f"mlp.{layer}~{min(draw.neurons, count)}@{draw.seed}"
                groups.append(("neuron", parse_targets(spec, shape)))
            groups.append(("rotated", [Unit("mlp", layer, count + i) for i in range(draw.rotated)]))
        if draw.heads:
            groups.append(("head", _heads(shape, draw)))
        return [
            MeasuredUnit(unit, kind, number < draw.halves)
            for kind, units in groups
            for number, unit in enumerate(units)
        ]

    def collect(self, reporter: Reporter) -> Path:
        """The folder with their activations on each split, collected unless they are there."""
        real = [unit for unit, kind, _ in self.units if kind != "rotated"]
        turned: list[RotatedUnit] = []
        for layer in self.draw.layers:
            units = [u for u, kind, _ in self.units if kind == "rotated" and u.layer == layer]
            if units:
                turned += rotated_units(self.subject, units, seed=self.draw.seed)
        collect(
            self.subject,
            self.index,
            real,
            self.folder,
            extra=turned,
            progress=reporter,
            say=reporter.say,
        )
        return self.folder

    @property
    def identity(self) -> tuple[str, ...]:
        """What activations depend on besides the unit."""
        index = self.index
        return (index.subject_revision, index.corpus_sha256, index.contexts_sha256, index.salt)

    @property
    def folder(self) -> Path:
        """In the cache, one for each draw."""
        units = (str(unit) for unit, _, _ in self.units)
        name = hashlib.sha256("\0".join((*self.identity, str(self.draw.seed), *units)).encode())
        folder = cache_dir() / "bench" / "explanations"
        return folder / f"activations-{name.hexdigest()[:24]}"


def _heads(shape: Shape, draw: UnitDraw) -> list[Unit]:
    count = min(draw.heads, shape.n_layers * shape.n_heads)
    return parse_targets(f"head.*~{count}@{draw.seed}", shape)
