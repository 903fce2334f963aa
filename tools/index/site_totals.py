"""Running totals of one site's units over one split; their size does not depend on the corpus.

1. n, sum, sum of squares (float64 over float32 sums of two contexts), lowest and highest
   activation.
2. The best contexts of each side (`topk`); a head has one side, as its activation is a norm.
3. The pool's contexts and the sample's tokens (`batch_plan`), which go straight to files, as they
   are needed only at the end.

Where a batch's activations are reduced and read: `batch_activations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ..subject.address import Site
from .batch_plan import Batch, BatchPlan
from .slot_file import SlotFile
from .thread_team import Blocks
from .topk import TopK, update_topk

if TYPE_CHECKING:
    from .batch_activations import BatchActivations

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
        self, values: BatchActivations, batch: Batch, blocks: Blocks
    ) -> Float[np.ndarray, "2 unit"]:
        """Add a batch's activations, except for what is kept whole (`keep`).

        Returns:
            The batch's sums and sums of squares.
        """
        # 1. Sums and extremes.
        high, low, sums = values.reduce(blocks)
        self.n += batch.n_tokens - len(batch.rows)
        self.total += sums[0]
        self.squares += sums[1]
        np.maximum(self.high, high.max(axis=0), out=self.high)
        np.minimum(self.low, low.min(axis=0), out=self.low)

        # 2. The best contexts of each side.
        bests = [high, -low][: len(self.top)]

        def select(units: slice) -> None:
            update_topk(self.top, bests, batch.rows, values.rows, units)

        blocks(select, values.n_units, MIN_UNITS)
        return sums

    def keep(
        self, values: BatchActivations, batch: Batch, sums: Float[np.ndarray, "2 unit"]
    ) -> None:
        """Write the pool's contexts and the sample's tokens (3), and a shard's sums; may be repeated."""
        for context, slot in zip(batch.pool.context, batch.pool.slot, strict=True):
            self.pool.write(int(slot), values.whole(context, self.pool.shape[0])[None])
        if len(batch.sample.context):
            sampled = values.tokens(batch.sample.context, batch.sample.position)
            self.sample.write(batch.sample.slot, sampled)
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
