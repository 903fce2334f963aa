"""Running totals of one site's units over one split; their size does not depend on the corpus.

1. n, sum, sum of squares (float64 over float32 sums of two contexts), lowest and highest
   activation.
2. The best contexts of each side (`topk`); a head has one side, as its activation is a norm.
3. The pool's contexts and the sample's tokens (`batch_plan`), which go straight to files, as they
   are needed only at the end.

Passes over a batch's activations are the main cost of indexing next to the model, so each is one
numpy reduction over two contexts at a time, which stay in a core's cache between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..subject.address import Site
from .batch_plan import Batch, BatchPlan, LengthGroup
from .float16 import to_float16
from .slot_file import SlotFile
from .thread_team import Blocks
from .topk import TopK, update_topk

CHUNK = 3 << 16
"""Numbers per reduction, two contexts of 1,536 neurons: at 0.8 MB they stay in a core's cache from
one reduction to the next. Measured for 30 layers: 22 us per token, and 28 with 32 contexts at once.
"""
MIN_UNITS = 256
"""Units per thread in the top-k update; fewer are no faster."""


@dataclass
class SiteTotals:
    """One site's running totals.

    Attributes:
        total, squares: float64; low, high: float32, infinite before anything was read.
        top: by side, "+" and then "-" if the site has two.
        sums: what each batch adds to `total` and `squares`, which a shard keeps.
    """

    site: Site
    n: int
    total: Float[np.ndarray, " unit"]
    squares: Float[np.ndarray, " unit"]
    low: Float[np.ndarray, " unit"]
    high: Float[np.ndarray, " unit"]
    top: list[TopK]
    pool: SlotFile
    pool_contexts: Int[np.ndarray, " pool"]
    sample: SlotFile
    sums: SlotFile | None = None

    @classmethod
    def empty(
        cls,
        site: Site,
        n_units: int,
        k: int,
        plan: BatchPlan,
        folder: Path,
        *,
        keeps_sums: bool = False,
    ) -> SiteTotals:
        """Nothing read yet; the files of the pool, the sample and the sums are in the folder."""
        seq = plan.contexts.tokens.shape[1]
        sides = 1 if site.is_one_sided else 2
        k = min(k, len(plan.order))
        name = site.file_stem
        sums = None
        if keeps_sums:
            path = folder / f"sums-{name}.f64"
            sums = SlotFile.empty(path, plan.n_turns, (2, n_units), np.float64)
        return cls(
            site,
            n=0,
            total=np.zeros(n_units),
            squares=np.zeros(n_units),
            low=np.full(n_units, np.inf, np.float32),
            high=np.full(n_units, -np.inf, np.float32),
            top=[TopK.empty(n_units, k, seq) for _ in range(sides)],
            pool=SlotFile.empty(folder / f"pool-{name}.f16", len(plan.pool), (seq, n_units)),
            pool_contexts=plan.pool.astype(np.int32),
            sample=SlotFile.empty(folder / f"sample-{name}.f16", len(plan.sample), (n_units,)),
            sums=sums,
        )

    @property
    def finite(self) -> bool:
        """Whether all activations so far were finite: a NaN stays in the extremes."""
        return not self.n or bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def update(
        self, values: Float[np.ndarray, "context seq unit"], batch: Batch, blocks: Blocks
    ) -> Float[np.ndarray, "2 unit"]:
        """Add a batch's activations, except for what is kept whole (`keep`).

        Returns:
            The batch's sums and sums of squares.
        """
        n_contexts, seq, n_units = values.shape
        high, low = (np.empty((n_contexts, n_units), np.float32) for _ in range(2))
        chunks = _chunks(batch, max(CHUNK // (seq * n_units), 1))
        total, squares = (np.empty((len(chunks), n_units), np.float32) for _ in range(2))

        def reduce(block: slice) -> None:
            for i in range(block.start, block.stop):
                start, stop, length = chunks[i]
                chunk = values[start:stop, 1:length]
                np.maximum.reduce(chunk, axis=1, out=high[start:stop])
                np.minimum.reduce(chunk, axis=1, out=low[start:stop])
                np.einsum("csu->u", chunk, out=total[i])
                np.einsum("csu,csu->u", chunk, chunk, out=squares[i])

        # 1. Sums and extremes.
        blocks(reduce, len(chunks), 1)
        self.n += batch.n_tokens - n_contexts
        sums = np.stack([part.sum(axis=0, dtype=np.float64) for part in (total, squares)])
        self.total += sums[0]
        self.squares += sums[1]
        np.maximum(self.high, high.max(axis=0), out=self.high)
        np.minimum(self.low, low.min(axis=0), out=self.low)

        # 2. The best contexts of each side.
        lengths = np.concatenate([np.full(g.stop - g.start, g.length) for g in batch.groups])
        bests = [high, -low][: len(self.top)]

        def select(units: slice) -> None:
            update_topk(self.top, bests, batch.rows, values, lengths, units)

        blocks(select, n_units, MIN_UNITS)
        return sums

    def keep(
        self,
        values: Float[np.ndarray, "context seq unit"],
        batch: Batch,
        sums: Float[np.ndarray, "2 unit"],
    ) -> None:
        """Write the pool's contexts and the sample's tokens (3), and a shard's sums; may be repeated."""
        lengths = np.concatenate([np.full(g.stop - g.start, g.length) for g in batch.groups])
        for context, slot in zip(batch.pool.context, batch.pool.slot, strict=True):
            whole = np.zeros(self.pool.shape, np.float16)
            whole[1 : lengths[context]] = to_float16(values[context, 1 : lengths[context]])
            self.pool.write(int(slot), whole[None])
        if len(batch.sample.context):
            sampled = values[batch.sample.context, batch.sample.position]
            self.sample.write(batch.sample.slot, to_float16(sampled))
        if self.sums:
            self.sums.write(batch.turn, sums[None])

    def results(self) -> SiteResults:
        """Everything that is written of the site."""
        return SiteResults(
            self.site,
            self.n,
            self.total,
            self.squares,
            self.low,
            self.high,
            self.top,
            self.pool.read(),
            self.pool_contexts,
            self.sample.read(),
        )


@dataclass(frozen=True)
class SiteResults:
    """One site's totals over a whole split; fields as in `SiteTotals`."""

    site: Site
    n: int
    total: Float[np.ndarray, " unit"]
    squares: Float[np.ndarray, " unit"]
    low: Float[np.ndarray, " unit"]
    high: Float[np.ndarray, " unit"]
    top: list[TopK]
    pool: Float[np.ndarray, "pool seq unit"]
    pool_contexts: Int[np.ndarray, " pool"]
    sample: Float[np.ndarray, "sample unit"]


def _chunks(batch: Batch, size: int) -> list[LengthGroup]:
    """The batch's contexts of equal length, `size` or fewer at a time."""
    return [
        LengthGroup(start, min(start + size, group.stop), group.length)
        for group in batch.groups
        for start in range(group.start, group.stop, size)
    ]
