"""What an index keeps of a dictionary's latents on one split, computed where they fire.

A latent is 0 at most tokens, so that what a split has of it is a short list. Its cost is that of the
encoder and of the list, and memory grows neither with the text nor with the number of latents.

1. Each batch is encoded some tokens at a time. Each activation above 0 is an event: latent, context,
   position, value. Events are appended to files, one for `BLOCK` latents each.
2. At the end each file is read, ordered by latent, and gives the exact statistics, the best contexts
   and the activations on the pool's contexts. Position 0 does not count, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ..errors import CorruptError, UsageError
from ..subject.address import NO_LAYER, Site
from ..subject.latents import Latents
from .batch_plan import Batch, BatchPlan
from .float16_file import to_float16
from .store import ACTIVE, QUANTILES, Columns, ExemplarsFile, exemplars_table
from .topk import RankedContexts

BLOCK = 1536
"""Latents a file; a multiple of the units in a row group of exemplars."""
NUMBERS_AT_ONCE = 1 << 23
"""Activations that are encoded at once: 32 MB."""
DENSEST = 0.2
"""Largest share of a dictionary's activations that are not 0. A million tokens of 16,384 latents have
46 GB of events then."""
FEW = 1024
"""Latents of a dictionary that may be dense: its events are few."""
EVENT = np.dtype([("latent", "<i4"), ("context", "<i4"), ("position", "<u2"), ("value", "<f4")])


@dataclass
class LatentTotals:
    """One dictionary's latents on one split.

    Attributes:
        k: best contexts to keep of each latent.
        folder: for the files of events.
        n: tokens read, without those at position 0; `n_events`: activations above 0 among them.
    """

    dictionary: Latents
    plan: BatchPlan
    k: int
    folder: Path
    n: int = 0
    n_events: int = 0
    sizes: list[int] = field(default_factory=list[int])

    @property
    def site(self) -> Site:
        """The site of the latents."""
        return Site.of_dictionary(self.dictionary.name)

    @property
    def reads(self) -> Site:
        """The site of the vectors."""
        return self.dictionary.reads

    def resume(self, saved: dict[str, Any] | None) -> None:
        """Go on where `checkpoint` was called; from the beginning without it.

        Raises:
            CorruptError: a file is shorter than it was then.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        n_files = -(-self.dictionary.n_latents // BLOCK)
        saved = saved or {"n": 0, "n_events": 0, "sizes": [0] * n_files}
        self.n, self.n_events, self.sizes = saved["n"], saved["n_events"], list(saved["sizes"])
        for number, size in enumerate(self.sizes):
            path = self._path(number)
            path.touch()
            if path.stat().st_size < size:
                raise CorruptError(
                    f"{path} is shorter than when it was written; rm -r {self.folder.parent}, then "
                    "run the same command again"
                )
            with path.open("r+b") as file:
                file.truncate(size)

    def checkpoint(self) -> dict[str, Any]:
        """What `resume` needs."""
        return {"n": self.n, "n_events": self.n_events, "sizes": self.sizes}

    @torch.inference_mode()
    def take(self, vectors: Float[Tensor, "batch seq width"], batch: Batch) -> None:
        """Add the events of a batch of vectors at the site that the dictionary reads (1).

        Raises:
            UsageError: a vector or an activation is not finite, or the latents are not sparse.
        """
        lengths = np.concatenate([np.full(g.stop - g.start, g.length) for g in batch.groups])
        real = np.arange(vectors.shape[1]) < lengths[:, None]
        real[:, 0] = False
        context, position = np.nonzero(real)
        rows = vectors[torch.from_numpy(context), torch.from_numpy(position)]
        step = max(NUMBERS_AT_ONCE // self.dictionary.n_latents, 1)
        events: list[Shaped[np.ndarray, " event"]] = []
        for start in range(0, len(rows), step):
            activations = self.dictionary.encode(rows[start : start + step])
            fires = activations.nonzero().cpu().numpy()
            values = activations[tuple(fires.T)].cpu().numpy()
            if not np.isfinite(values).all():
                raise UsageError(
                    f"the dictionary {self.dictionary.name!r} computes numbers that are not finite at "
                    f"{self.reads}: check its file, and that it was made for this subject"
                )
            part = np.empty(len(values), EVENT)
            part["latent"], part["value"] = fires[:, 1], values
            token = start + fires[:, 0]
            part["context"], part["position"] = batch.rows[context[token]], position[token]
            events.append(part)
        self.n, self.n_events = self.n + len(rows), self.n_events + sum(map(len, events))
        self._require_sparse()
        self._append(np.concatenate(events) if events else np.empty(0, EVENT))

    def _require_sparse(self) -> None:
        share = self.n_events / max(self.n * self.dictionary.n_latents, 1)
        if self.dictionary.n_latents > FEW and share > DENSEST:
            raise UsageError(
                f"latents of {self.dictionary.name!r} fire on {share:.0%} of the tokens, so it is not a "
                f"sparse dictionary of {self.reads}; `hubel dictionary check` says which place fits"
            )

    def _append(self, events: Shaped[np.ndarray, " event"]) -> None:
        block = events["latent"] // BLOCK
        order = np.argsort(block, kind="stable")
        bounds = np.searchsorted(block[order], np.arange(len(self.sizes) + 1))
        for number in range(len(self.sizes)):
            part = events[order[bounds[number] : bounds[number + 1]]]
            if len(part):
                with self._path(number).open("ab") as file:
                    file.write(part.tobytes())
                self.sizes[number] += part.nbytes

    def write(self, folder: Path) -> Columns:
        """Write the exemplars into the split's folder; returns the statistics (2)."""
        blocks: list[Columns] = []
        with ExemplarsFile(folder, self.site) as file:
            for first, events in self._blocks():
                n_units = min(BLOCK, self.dictionary.n_latents - first)
                of_block = _Block(events, n_units, self.n, self.plan, self.k)
                file.append(of_block.exemplars(first), n_units)
                blocks.append(of_block.statistics())
        columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        n_units = self.dictionary.n_latents
        return {
            "layer": np.full(n_units, NO_LAYER, np.int16),
            "unit": np.arange(n_units, dtype=np.int32),
            **columns,
        }

    def _blocks(self) -> Iterator[tuple[int, Shaped[np.ndarray, " event"]]]:
        """The first latent and the events of each file, ordered by latent, context and position."""
        for number in range(len(self.sizes)):
            first = number * BLOCK
            events = np.fromfile(self._path(number), EVENT)
            events["latent"] -= first
            yield (
                first,
                events[np.lexsort((events["position"], events["context"], events["latent"]))],
            )

    def _path(self, number: int) -> Path:
        return self.folder / f"events-{self.dictionary.name}-{number}.bin"


@dataclass(frozen=True)
class _Block:
    """The events of some latents, in order, with n tokens in all."""

    events: Shaped[np.ndarray, " event"]
    n_units: int
    n: int
    plan: BatchPlan
    k: int

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
        seq = self.plan.contexts.tokens.shape[1]
        k = min(self.k, len(self.plan.order))
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
        _fill_with_silent(contexts, self.plan.order)

        pool = self.plan.pool.astype(np.int32)
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
        activations[kept["latent"], slot[slot >= 0], kept["position"]] = to_float16(kept["value"])
        return activations


def _fill_with_silent(contexts: Int[np.ndarray, "unit k"], order: Int[np.ndarray, " read"]) -> None:
    """Put contexts in which a latent is silent where it fires in fewer than are kept."""
    k = contexts.shape[1]
    for unit in np.flatnonzero((contexts < 0).any(axis=1)):
        firing = set(contexts[unit][contexts[unit] >= 0].tolist())
        silent = [number for number in order[: 2 * k].tolist() if number not in firing]
        contexts[unit, len(firing) :] = silent[: k - len(firing)]
