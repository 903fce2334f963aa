"""The nearest units of many units at once, for the record of a run: by direction, and by being
active together.

1. By what neurons and named directions write: the cosines of all units asked for with a layer's
   neurons are one matrix product; the k largest and the k smallest so far of each are kept as the
   layers go by.
2. Heads by what they move (`nearest`), one after the other: they are few.
3. Active together: Pearson r of the signals of a run's own targets over tokens of explore, a block
   of targets against all at a time. Where there are many tokens an even sample of them is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..index import Collected
    from ..subject import Subject, Unit

NEAREST = 8
"""Units that are listed as alike; a quarter as many as opposite."""
_BLOCK = 512
"""Targets compared with all others in one product."""
_TOKENS = 20_000
"""Tokens that a correlation is over: its standard error is then below 0.01."""
_NUMBERS = 400_000_000
"""Signals held in memory at once, 1.6 GB: with more than 20,000 targets each has fewer tokens."""


class SimilarUnit(NamedTuple):
    """A unit by its address, and its cosine or its correlation."""

    unit: str
    value: float


class Neighbours(NamedTuple):
    """Of one unit: those nearest to it, and those most opposite.

    `by` is what is compared: what neurons "write", what heads "move", or "together" for being
    active together; `compared` is with how many units.
    """

    by: str
    compared: int
    alike: list[SimilarUnit]
    opposite: list[SimilarUnit]


def nearest_by_direction(
    subject: Subject,
    units: Sequence[Unit],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Neighbours]:
    """Address (without a side) to what is nearest by direction; a unit without a direction is left
    out.

    Args:
        progress: told how many layers and heads are done, of how many.
    """
    plain = list(dict.fromkeys(unit.unsided for unit in units))
    heads = [unit for unit in plain if unit.site == "head"]
    neurons = [unit for unit in plain if unit.site != "head"]
    steps = len(heads) + (subject.shape.n_layers if neurons else 0)
    found: dict[str, Neighbours] = {}
    for number, (name, neighbours) in enumerate(_of_heads(subject, heads), start=1):
        found[name] = neighbours
        progress(number, steps)
    return found | _of_neurons(
        subject, neurons, lambda layer: progress(len(heads) + layer + 1, steps)
    )


def _of_heads(subject: Subject, heads: Sequence[Unit]) -> Iterator[tuple[str, Neighbours]]:
    from .nearest import nearest
    from .registry import InstrumentContext

    for head in heads:
        told = nearest(InstrumentContext(subject), unit=str(head), k=NEAREST)
        alike, opposite = (
            [SimilarUnit(n.unit, n.cosine) for n in some] for some in (told.alike, told.opposite)
        )
        yield str(head), Neighbours(told.by, told.compared, alike, opposite)


def _of_neurons(
    subject: Subject, units: Sequence[Unit], progress: Callable[[int], None]
) -> dict[str, Neighbours]:
    import torch

    from ..subject import Unit
    from .nearest import writes

    directed = [
        (unit, direction) for unit in units if (direction := _direction(subject, unit)) is not None
    ]
    if not directed:
        return {}
    mine = torch.nn.functional.normalize(
        torch.stack([direction for _, direction in directed]), dim=-1
    )
    best = [_Best(str(unit)) for unit, _ in directed]
    for layer in range(subject.shape.n_layers):
        theirs = torch.nn.functional.normalize(
            writes(subject, layer).float().to(mine.device), dim=-1
        )
        for kept, cosines in zip(best, (mine @ theirs.T).cpu().numpy(), strict=True):
            kept.take(cosines, lambda index, layer=layer: str(Unit("mlp", layer, index)))
        progress(layer)
    return {kept.unit: kept.told("write") for kept in best}


def _direction(subject: Subject, unit: Unit) -> Float[Tensor, " d_model"] | None:
    try:
        direction = subject.write_direction(unit).float()
    except ArgumentError:
        return None
    return direction if direction.norm() > 0 else None


class _Best:
    """The largest and the smallest values that one unit has met."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self._compared = 0
        self._found: list[SimilarUnit] = []

    def take(self, values: Float[np.ndarray, " other"], name: Callable[[int], str]) -> None:
        """Those of some more units, whose addresses `name` tells."""
        k = min(NEAREST + 1, len(values))  # the unit itself may be among them
        ends = {
            *np.argpartition(-values, k - 1)[:k].tolist(),
            *np.argpartition(values, k - 1)[:k].tolist(),
        }
        near = [
            SimilarUnit(name(index), float(values[index]))
            for index in ends
            if name(index) != self.unit
        ]
        self._compared += len(values) - (len(ends) - len(near))
        self._found += near
        self._found.sort(key=lambda near: (-near.value, near.unit))
        if len(self._found) > 2 * NEAREST:
            self._found = [*self._found[:NEAREST], *self._found[-NEAREST:]]

    def told(self, by: str) -> Neighbours:
        """What was found."""
        alike = [_rounded(near) for near in self._found[:NEAREST] if near.value > 0]
        opposite = [_rounded(near) for near in self._found[::-1][: NEAREST // 4] if near.value < 0]
        return Neighbours(by, self._compared, alike, opposite)


def _rounded(near: SimilarUnit) -> SimilarUnit:
    return SimilarUnit(near.unit, round(near.value, 4))


def active_together(collected: Collected, targets: Sequence[Unit]) -> dict[str, Neighbours]:
    """Target to those of the others that are active at the same tokens; sides count. Empty with fewer than two."""
    units = list(dict.fromkeys(targets))
    if len({unit.unsided for unit in units}) < 2:
        return {}
    signals = _standardised(collected, units)
    sides: dict[Unit, list[int]] = {}
    for row, unit in enumerate(units):
        sides.setdefault(unit.unsided, []).append(row)
    found: dict[str, Neighbours] = {}
    for start in range(0, len(units), _BLOCK):
        block = signals[start : start + _BLOCK] @ signals.T / signals.shape[1]
        for row, r in enumerate(block, start=start):
            r[sides[units[row].unsided]] = 0.0  # another side of the same unit says nothing
            kept = _Best(str(units[row]))
            kept.take(r, lambda index: str(units[index]))
            found[kept.unit] = kept.told("together")._replace(
                compared=len(units) - len(sides[units[row].unsided])
            )
    return found


def _standardised(collected: Collected, units: Sequence[Unit]) -> Float[np.ndarray, "unit token"]:
    """Signals at an even sample of the tokens that count, with mean 0 and variance 1; of a constant one zeros."""
    places = np.flatnonzero(collected.mask)
    most = max(2_000, min(_TOKENS, _NUMBERS // len(units)))
    places = places[:: max(1, -(-len(places) // most))]
    found = np.zeros((len(units), len(places)), dtype=np.float32)
    for row, unit in enumerate(units):
        signal = unit.signal(collected.activations(unit.unsided)).ravel()[places]
        spread = signal.std()
        if np.isfinite(spread) and spread > 0:
            found[row] = (signal - signal.mean()) / spread
    return found
