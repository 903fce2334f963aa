"""Units that are active together with a unit, by the correlation of their activations.

`coactivating` compares a unit with every neuron, over text, from an activation store or in one pass:

1. Texts: those that are given, or contexts of explore: a third each from where the unit is
   strongest on either side, and the rest at random (mostly quiet, so that a correlation does not
   rest on loud places alone).
2. In each batch add up, for all neurons at once, sum x, sum x², and sum x·y with the unit's y.
3. Pearson r in closed form, in float64:
   (n Σxy - Σx Σy) / sqrt((n Σx² - (Σx)²) (n Σy² - (Σy)²)).

`coactive_targets` and `similar_collected_units` compare a run's targets with each other, over the
activations that the run collected.

Position 0 of a text does not count. Two units that correlate may both follow a third thing:
`upstream` tells what feeds the unit, `patch` and `ablate` what it causes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...errors import ArgumentError
from ...subject.address import Site, Unit
from ...subject.input_texts import BATCH_TOKENS, InputText, tokenize_texts
from ...subject.non_finite import require_finite
from ..readable_texts import ReadableTexts
from ..registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .by_direction import write_cosine
from .result import (
    DEPTH_PHRASES,
    N_RECORDED,
    Depth,
    Extremes,
    SimilarUnit,
    SimilarUnits,
    relative_depth,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ...index import Collected, Index
    from ...subject import Subject

MIN_TOKENS = 20
"""Fewer say nothing: at 20 tokens unrelated units reach |r| = 0.9 among 46,000."""
MAX_TOKENS = 20_000
"""Tokens that targets are compared over: the standard error of a correlation is then below 0.01."""
MAX_SIGNALS = 400_000_000
"""Signals held in memory at once, 1.6 GB: with more than 20,000 targets each has fewer tokens."""
BLOCK = 512
"""Targets compared with all others in one matrix product."""


@dataclass(frozen=True)
class CoactiveUnit:
    """A unit and its correlation; `depth` is where it is, seen from the given unit."""

    unit: str
    r: float
    depth: Depth


@dataclass(frozen=True)
class Coactivating(Result):
    """Units that rise together with a unit, and units that rise when it falls.

    Attributes:
        n_tokens: number of tokens that r is over.
        chance: about the largest |r| that as many unrelated units would reach.
    """

    unit: str
    texts: str
    n_tokens: int
    compared: int
    chance: float
    together: list[CoactiveUnit]
    opposed: list[CoactiveUnit]

    def render(self) -> str:
        scope = f"of {self.compared:,} units, over {self.n_tokens:,} tokens of {self.texts}"
        head = f"active together with {self.unit}, {scope} (chance {self.chance:.2f}):"
        units = (*self.together, *self.opposed)
        return "\n".join(
            [head, *(f"  r {c.r:+.3f} {c.unit}, {DEPTH_PHRASES[c.depth]}" for c in units)]
        )


@instrument("coactivating", needs=("subject",))
def coactivating(
    context: InstrumentContext,
    unit: UnitAddress,
    texts: Annotated[
        list[Text] | None, Field(max_length=256, description="default: the corpus")
    ] = None,
    k: Annotated[int, Field(ge=1, le=50, description="to list, of each sign")] = 6,
    contexts: Annotated[
        int, Field(ge=3, le=300, description="of the corpus, when no texts are given")
    ] = 48,
) -> Coactivating:
    """Find the neurons that are active at the same tokens as a unit, by correlation.

    Compares all neurons at once, over corpus contexts (loud and quiet ones) or over texts that you
    give. Their exemplars show what the unit shares with them and what it has alone. With a side
    (mlp.12.803-) the strength of that side is correlated.
    """
    address, subject = Unit.parse(unit), context.require_subject()
    subject.shape.column(address)
    if texts is not None:
        read, source = ReadableTexts(subject, tokenize_texts(subject, texts)), "these texts"
    else:
        index, source = context.require_index(), "the corpus"
        numbers = _loud_and_quiet(index, address, contexts)
        read = ReadableTexts.of_explore(subject, index, numbers)
    n_tokens = sum(len(text.scored) for text in read.texts)
    if n_tokens < MIN_TOKENS:
        raise ArgumentError(
            f"coactivating: {n_tokens} tokens are too few for a correlation; "
            f"give at least {MIN_TOKENS}"
        )
    sites = [Site("mlp", layer) for layer in range(subject.shape.n_layers)]
    extremes = Extremes(k)
    for site, correlations in zip(sites, _correlations(address, sites, read), strict=True):
        skip = [address.index] if address.place == site else []
        extremes.add(correlations, partial(Unit, "mlp", site.layer), skip)

    layer = subject.shape.layer_of(address)

    def listed(units: Sequence[SimilarUnit]) -> list[CoactiveUnit]:
        return [
            CoactiveUnit(name, rounded([r])[0], relative_depth(Unit.parse(name).layer, layer))
            for name, r in units
        ]

    compared = sum(subject.shape.count(site) for site in sites)
    largest_by_chance = np.sqrt(2 * np.log(max(compared, 2)) / n_tokens)
    (chance,) = rounded([min(1.0, float(largest_by_chance))], 2)
    return Coactivating(
        str(address),
        source,
        n_tokens,
        compared,
        chance,
        listed([unit for unit in extremes.largest() if unit.value > 0]),
        listed([unit for unit in extremes.smallest() if unit.value < 0]),
    )


def _loud_and_quiet(index: Index, unit: Unit, n: int) -> list[int]:
    """Numbers of contexts of explore: a third each from the strongest of either side, and at random."""
    third = max(1, n // 3)
    loud = [
        exemplar.context
        for side in ("+", "-")
        for exemplar in index.exemplars(unit.unsided, side, "top", third)
    ]
    quiet = np.random.default_rng(0).permutation(index.n_contexts["explore"])[: 4 * n].tolist()
    return list(dict.fromkeys([*loud, *quiet]))[:n]


def _correlations(
    unit: Unit, sites: Sequence[Site], read: ReadableTexts
) -> list[Float[np.ndarray, " unit"]]:
    """Pearson r with every neuron, site by site; 0 where either is constant."""
    subject = read.subject
    sums = [np.zeros((3, subject.shape.count(site))) for site in sites]  # x, x², xy
    own_sums = np.zeros(3)  # n, y, y²
    for batch in read.batches(BATCH_TOKENS // 4):
        rows = batch.texts
        own = _scored(read.raw(batch, unit), rows)
        y = unit.signal(own).astype(np.float64)
        own_sums += (len(y), y.sum(), (y * y).sum())

        def add(
            site: Site,
            values: Tensor,
            rows: Sequence[InputText] = rows,
            y: Float[np.ndarray, " token"] = y,
        ) -> None:
            require_finite(values, subject.name, subject.dtype, str(site), edited=False)
            x = _scored(values.float().cpu().numpy(), rows).astype(np.float64)
            sums[site.layer] += np.stack([x.sum(0), (x * x).sum(0), y @ x])

        read.read(batch, dict.fromkeys(sites), add)
    return [_pearson(total, own_sums) for total in sums]


def _scored(
    raw: Float[np.ndarray, "text seq *unit"], texts: Sequence[InputText]
) -> Float[np.ndarray, "token *unit"]:
    """The values at the positions that count, all texts in a row."""
    return np.concatenate([raw[row, list(text.scored)] for row, text in enumerate(texts)])


def _pearson(
    sums: Float[np.ndarray, "3 unit"], own_sums: Float[np.ndarray, "3"]
) -> Float[np.ndarray, " unit"]:
    (x, xx, xy), (n, y, yy) = sums, own_sums
    spread = (n * xx - x * x) * (n * yy - y * y)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(spread > 0, (n * xy - x * y) / np.sqrt(np.maximum(spread, 0)), 0.0)
    return np.nan_to_num(r, posinf=0.0, neginf=0.0)


def coactive_targets(collected: Collected, targets: Sequence[Unit]) -> dict[str, SimilarUnits]:
    """Each target with those of the others that are active at the same tokens; sides count.

    Empty for fewer than two units. A block of targets is compared with all others in one product;
    where there are many tokens an even sample of them is taken.
    """
    units = list(dict.fromkeys(targets))
    if len({unit.unsided for unit in units}) < 2:
        return {}
    signals = _sampled_signals(collected, units)
    rows_of_unit: dict[Unit, list[int]] = {}
    for row, unit in enumerate(units):
        rows_of_unit.setdefault(unit.unsided, []).append(row)
    similar: dict[str, SimilarUnits] = {}
    for start in range(0, len(units), BLOCK):
        block = signals[start : start + BLOCK] @ signals.T / signals.shape[1]
        for unit, r in zip(units[start:], block, strict=False):
            extremes = Extremes(N_RECORDED)
            # The other side of the same unit says nothing.
            extremes.add(r, units.__getitem__, rows_of_unit[unit.unsided])
            similar[str(unit)] = extremes.recorded("together", lambda value: round(value, 4))
    return similar


def _sampled_signals(
    collected: Collected, units: Sequence[Unit]
) -> Float[np.ndarray, "unit token"]:
    """Standardised signals at an even sample of the tokens that count."""
    places = np.flatnonzero(collected.mask)
    limit = max(2_000, min(MAX_TOKENS, MAX_SIGNALS // len(units)))
    places = places[:: max(1, -(-len(places) // limit))]
    signals = np.zeros((len(units), len(places)), dtype=np.float32)
    for row, unit in enumerate(units):
        signals[row] = _standardise(
            unit.signal(collected.activations(unit.unsided, finite=False)).ravel()[places]
        )
    return signals


def similar_collected_units(
    unit: Unit, explore: Collected, subject: Subject | None = None, k: int = 5
) -> list[Unit]:
    """The collected units of a unit's layer that are nearest to it, on the same side.

    Near is what correlates on explore, or, with a subject, what neurons write.
    """
    mask = explore.mask

    def signal(other: Unit) -> Float[np.ndarray, " token"]:
        values = other.signal(explore.activations(other.unsided, finite=False))[mask]
        return _standardise(values.astype(np.float64))

    own = signal(unit)
    near: list[tuple[float, Unit]] = []
    for name in explore.targets:
        other = Unit.parse(name)
        if other == unit.unsided or other.place != unit.place:
            continue
        other = replace(other, side=unit.side)
        nearness = float(own @ signal(other)) / len(own)
        if subject is not None and unit.site == "mlp":
            with suppress(ValueError, IndexError):  # a planted neuron has no weights
                nearness = max(nearness, write_cosine(subject, unit, other))
        near.append((nearness, other))
    near.sort(key=lambda pair: (-pair[0], str(pair[1])))
    return [other for _, other in near[:k]]


def _standardise(values: Float[np.ndarray, " token"]) -> Float[np.ndarray, " token"]:
    """Mean 0 and variance 1; zeros, which are near no other, for a constant or with infinite values."""
    spread = values.std() if np.isfinite(values).all() else 0.0
    if not (np.isfinite(spread) and spread > 0):
        return np.zeros_like(values)
    return (values - values.mean()) / spread
