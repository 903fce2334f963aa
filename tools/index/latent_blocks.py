"""Statistics and exemplars of a dictionary's latents on a split, from the list of where they fire.

Events are in files, by blocks of latents. As many latents of a block are taken at a time as have at
most `EVENTS_AT_ONCE`, so that memory does not grow with the text. Their events are ordered by latent,
context and position first, so that it does not matter in what order they were found, and give the
exact statistics, the best contexts and the activations on the pool's contexts. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from ..subject.address import NO_LAYER, Site
from .batch_plan import BatchPlan
from .store import ACTIVE, QUANTILES, UNITS_A_GROUP, Columns, ExemplarsFile, exemplars_table
from .topk import RankedContexts

BLOCK = 1536
"""Latents a file; a multiple of the units in a row group of exemplars."""
EVENT = np.dtype([("latent", "<i4"), ("context", "<i4"), ("position", "<u2"), ("value", "<f4")])

EVENTS_AT_ONCE = 1 << 20
"""Events in memory: 15 MB, and some ten times as much while they are put in order. Of more latents at
a time nothing would be faster."""


class LatentText(NamedTuple):
    """What the exemplars need to know of the text.

    Attributes:
        k: best contexts to keep of each latent.
        order: the first contexts in reading order, twice as many.
        pool: the numbers of the pool's contexts, ascending.
    """

    k: int
    order: Int[np.ndarray, " read"]
    pool: Int[np.ndarray, " pool"]
    context_len: int

    @classmethod
    def of(cls, plan: BatchPlan, k: int) -> LatentText:
        """That of a plan."""
        k = min(k, len(plan.order))
        context_len = plan.contexts.tokens.shape[1]
        return cls(k, plan.order[: 2 * k], plan.pool.astype(np.int32), context_len)


def events_name(dictionary: str, number: int) -> str:
    """The file of a block's events."""
    return f"events-{dictionary}-{number}.bin"


def write_latents(
    folder: Path,
    site: Site,
    n_latents: int,
    n: int,
    text: LatentText,
    blocks: Iterable[Sequence[Path]],
) -> Columns:
    """Write the exemplars into the split's folder; returns the statistics.

    Args:
        n: tokens that were read, without those at position 0.
        blocks: the files with the events of each block of latents, in any order.
    """
    columns: list[Columns] = []
    with ExemplarsFile(folder, site) as file:
        for number, paths in enumerate(blocks):
            of_block = range(number * BLOCK, min((number + 1) * BLOCK, n_latents))
            for some in _that_fit(of_block, paths):
                events = _events_of(some, paths)
                events["latent"] -= some.start
                order = np.lexsort((events["position"], events["context"], events["latent"]))
                block = LatentBlock(events[order], len(some), n, text)
                file.append(block.exemplars(some.start), len(some))
                columns.append(block.statistics())
    joined = {name: np.concatenate([block[name] for block in columns]) for name in columns[0]}
    return {
        "layer": np.full(n_latents, NO_LAYER, np.int16),
        "unit": np.arange(n_latents, dtype=np.int32),
        **joined,
    }


def _that_fit(latents: range, paths: Sequence[Path]) -> Iterator[range]:
    """The latents, cut where more would have too many events; each but the last is whole row groups."""
    fires = np.zeros(len(latents), np.int64)
    for events in _read(paths):
        fires += np.bincount(events["latent"] - latents.start, minlength=len(latents))
    start, n_events = latents.start, 0
    for first in latents[::UNITS_A_GROUP]:
        of_group = int(fires[first - latents.start :][:UNITS_A_GROUP].sum())
        if n_events and n_events + of_group > EVENTS_AT_ONCE:
            yield range(start, first)
            start, n_events = first, 0
        n_events += of_group
    yield range(start, latents.stop)


def _events_of(latents: range, paths: Sequence[Path]) -> Shaped[np.ndarray, " event"]:
    parts = [
        events[(events["latent"] >= latents.start) & (events["latent"] < latents.stop)]
        for events in _read(paths)
    ]
    return np.concatenate([np.empty(0, EVENT), *parts])


def _read(paths: Sequence[Path]) -> Iterator[Shaped[np.ndarray, " event"]]:
    """The events of some files, at most `EVENTS_AT_ONCE` at a time."""
    for path in paths:
        with path.open("rb") as file:
            while len(events := np.fromfile(file, EVENT, EVENTS_AT_ONCE)):
                yield events


@dataclass(frozen=True)
class LatentBlock:
    """The events of some latents, in order, with n tokens in all."""

    events: Shaped[np.ndarray, " event"]
    n_units: int
    n: int
    text: LatentText

    def statistics(self) -> Columns:
        """As `store.statistics_columns` has them, but exact."""
        n = max(self.n, 1)
        latent = self.events["latent"]
        values = self.events["value"].astype(np.float64)
        fires = np.bincount(latent, minlength=self.n_units)
        mean = np.bincount(latent, values, self.n_units) / n
        squares = np.bincount(latent, values * values, self.n_units) / n
        high, low = np.zeros(self.n_units), np.full(self.n_units, np.inf)
        np.maximum.at(high, latent, values)
        np.minimum.at(low, latent, values)
        low[fires < self.n] = 0
        strong = np.bincount(latent, values > ACTIVE * high[latent], self.n_units)
        columns: Columns = {
            "n": np.full(self.n_units, self.n, np.int64),
            "mean": mean,
            "std": np.sqrt(np.maximum(squares - mean**2, 0)),
            "min": low,
            "max": high,
            "density": strong / n,
            "positive": fires / n,
        }
        ordered = values[np.lexsort((values, latent))]
        starts = np.cumsum(fires) - fires
        columns |= {
            name: self._quantile(ordered, starts, fires, q) for name, q in QUANTILES.items()
        }
        return {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in columns.items()}

    def _quantile(
        self,
        ordered: Float[np.ndarray, " event"],
        starts: Int[np.ndarray, " unit"],
        fires: Int[np.ndarray, " unit"],
        q: float,
    ) -> Float[np.ndarray, " unit"]:
        """numpy's linear quantile of each latent, with its zeros.

        Args:
            ordered: each latent's values above 0, ascending, those of latent i from `starts[i]` on.
        """
        place = q * (self.n - 1)
        low = int(place)

        def at(rank: int) -> Float[np.ndarray, " unit"]:
            above = rank - (self.n - fires)
            values = np.zeros(self.n_units)
            fired = above >= 0
            values[fired] = ordered[(starts + above)[fired]]
            return values

        below = at(low)
        return below + (place - low) * (at(min(low + 1, self.n - 1)) - below)

    def exemplars(self, first: int) -> Any:
        """The best contexts of each latent, then the pool's, as rows of the exemplars' table."""
        seq, k = self.text.context_len, self.text.k
        latent, context = self.events["latent"], self.events["context"]
        is_first = np.ones(len(latent), bool)
        is_first[1:] = (np.diff(latent) != 0) | (np.diff(context) != 0)
        starts = np.flatnonzero(is_first)
        group = np.cumsum(is_first) - 1  # of events that share latent and context
        peak = np.maximum.reduceat(self.events["value"], starts) if len(starts) else np.zeros(0)
        owner = latent[starts]
        order = np.lexsort((context[starts], -peak, owner))
        rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
        chosen, slot = order[rank < k], rank[rank < k]

        contexts = np.full((self.n_units, k), -1, np.int32)
        peaks = np.zeros((self.n_units, k), np.float32)
        contexts[owner[chosen], slot] = context[starts][chosen]
        peaks[owner[chosen], slot] = peak[chosen]
        slot_of_group = np.full(len(starts), -1)
        slot_of_group[chosen] = slot
        top = self._spread(slot_of_group[group] if len(group) else group, k, seq)
        _fill_with_silent(contexts, self.text.order)

        pool = self.text.pool
        place = np.searchsorted(pool, context)
        in_pool = place < len(pool)
        in_pool[in_pool] = pool[place[in_pool]] == context[in_pool]
        random = self._spread(np.where(in_pool, place, -1), len(pool), seq)
        tops = [RankedContexts(peaks, contexts, top)]
        return exemplars_table(NO_LAYER, first, tops, random, pool)

    def _spread(
        self, slot: Int[np.ndarray, " event"], n_slots: int, seq: int
    ) -> Float[np.ndarray, "unit slot seq"]:
        """The activations of some contexts at each token; an event goes to its slot, -1 to none."""
        activations = np.zeros((self.n_units, n_slots, seq), np.float16)
        kept = self.events[slot >= 0]
        with np.errstate(over="ignore"):  # beyond float16 is infinite (`float16_range`)
            values = kept["value"].astype(np.float16)
        activations[kept["latent"], slot[slot >= 0], kept["position"]] = values
        return activations


def _fill_with_silent(contexts: Int[np.ndarray, "unit k"], order: Int[np.ndarray, " read"]) -> None:
    """Put contexts in which a latent is silent where it fires in fewer than are kept."""
    k = contexts.shape[1]
    for unit in np.flatnonzero((contexts < 0).any(axis=1)):
        firing = set(contexts[unit][contexts[unit] >= 0].tolist())
        silent = [number for number in order.tolist() if number not in firing]
        contexts[unit, len(firing) :] = silent[: k - len(firing)]
