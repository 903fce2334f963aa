"""What is known so far of one site's units over one split: a few numbers and a few contexts each,
whatever was read.

1. n, sum, sum of squares (float64 over float32 sums of two contexts), lowest and highest
   activation.
2. The best contexts of each side (`topk`); a head has one side, as its activation is a norm.
3. The pool's contexts and the sample's tokens (`plan`), which go straight to files, as only the end
   needs them.

Passes over a batch's activations are what the index costs beside the model, so each is one numpy
reduction over two contexts at a time, which stay in a core's cache between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..subject.address import Site
from .batch_plan import Batch, BatchPlan
from .float16_file import SlotFile, to_float16
from .thread_team import Blocks
from .topk import TopK, update_topk
from .topk import merge_topk as merge_top

CHUNK = 3 << 16
"""Numbers a reduction, two contexts of 1,536 neurons: at 0.8 MB they stay in a core's cache from
one reduction to the next. Measured for 30 layers: 22 us a token, and 28 with 32 contexts at once.
"""


@dataclass
class SiteTotals:
    """One site's running totals.

    Attributes:
        total, squares: float64; low, high: float32, infinite before anything was read.
        top: by side, "+" and then "-" where the site has two.
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

    @classmethod
    def empty(cls, site: Site, n_units: int, k: int, plan: BatchPlan, folder: Path) -> SiteTotals:
        """Nothing read yet; the pool's and the sample's files lie in the folder."""
        seq = plan.contexts.tokens.shape[1]
        sides = 1 if site.kind == "head" else 2
        k = min(k, len(plan.order))
        name = f"{site.kind}-{site.layer}"
        return cls(
            site,
            0,
            np.zeros(n_units),
            np.zeros(n_units),
            np.full(n_units, np.inf, np.float32),
            np.full(n_units, -np.inf, np.float32),
            [TopK.empty(n_units, k, seq) for _ in range(sides)],
            SlotFile.empty(folder / f"pool-{name}.f16", len(plan.pool), (seq, n_units)),
            plan.pool.astype(np.int32),
            SlotFile.empty(folder / f"sample-{name}.f16", len(plan.sample), (n_units,)),
        )

    def update(
        self, values: Float[np.ndarray, "context seq unit"], batch: Batch, blocks: Blocks
    ) -> None:
        """Take a batch's activations."""
        n_contexts, _, n_units = values.shape
        high, low = (np.empty((n_contexts, n_units), np.float32) for _ in range(2))
        chunks = _chunks(batch, max(CHUNK // (values.shape[1] * n_units), 1))
        total, squares = (np.empty((len(chunks), n_units), np.float32) for _ in range(2))

        def reduce(block: slice) -> None:
            for at in range(block.start, block.stop):
                start, stop, length = chunks[at]
                piece = values[start:stop, 1:length]
                np.maximum.reduce(piece, axis=1, out=high[start:stop])
                np.minimum.reduce(piece, axis=1, out=low[start:stop])
                np.einsum("csu->u", piece, out=total[at])
                np.einsum("csu,csu->u", piece, piece, out=squares[at])

        blocks(reduce, len(chunks), 1)
        self.n += batch.n_tokens - n_contexts
        self.total += total.sum(axis=0, dtype=np.float64)
        self.squares += squares.sum(axis=0, dtype=np.float64)
        np.maximum(self.high, high.max(axis=0), out=self.high)
        np.minimum(self.low, low.min(axis=0), out=self.low)
        lengths = np.concatenate(
            [np.full(run.stop - run.start, run.length) for run in batch.groups]
        )

        bests = [high, -low][: len(self.top)]

        def select(units: slice) -> None:
            update_topk(self.top, bests, batch.rows, values, lengths, units)

        blocks(select, n_units, 256)  # fewer units would be no quicker
        self._keep(values, batch, lengths)

    def _keep(
        self,
        values: Float[np.ndarray, "context seq unit"],
        batch: Batch,
        lengths: Float[np.ndarray, " context"],
    ) -> None:
        for context, slot in zip(batch.pool.context, batch.pool.position, strict=True):
            whole = np.zeros(self.pool.shape, np.float16)
            whole[1 : lengths[context]] = to_float16(values[context, 1 : lengths[context]])
            self.pool.write(int(slot), whole[None])
        if len(batch.sample.context):
            self.sample.write(
                batch.sample.slot, to_float16(values[batch.sample.context, batch.sample.position])
            )


def merge_totals(a: SiteTotals, b: SiteTotals) -> SiteTotals:
    """Both together; they are of the same plan and of disjoint batches. The pool and sample of `a`
    are filled up.

    Everything is exact but the last bit of the sums, which depends on the order of addition.
    """
    a.pool.fill(b.pool)
    a.sample.fill(b.sample)
    return SiteTotals(
        a.site,
        a.n + b.n,
        a.total + b.total,
        a.squares + b.squares,
        np.minimum(a.low, b.low),
        np.maximum(a.high, b.high),
        [merge_top(x, y) for x, y in zip(a.top, b.top, strict=True)],
        a.pool,
        a.pool_contexts,
        a.sample,
    )


def _chunks(batch: Batch, size: int) -> list[tuple[int, int, int]]:
    return [
        (start, min(start + size, run.stop), run.length)
        for run in batch.groups
        for start in range(run.start, run.stop, size)
    ]
