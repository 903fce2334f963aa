"""Statistics and exemplars of units that are functions of stored vectors.

Random directions, rotations of the neurons, dictionary latents and probes are functions of one
vector of each token. The vectors come from the activation store of an index
(`activation_store.source`); what the store does not have is read by a pass.

1. Take the units in rounds, and each round in blocks of columns, so that memory grows neither with
   the number of units nor with the text.
2. In a round read the vectors batch by batch, in the order of an index, and add each block's
   columns to its totals.
3. Write exemplars block by block.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..subject.address import Site
from ..subject.non_finite import refuse
from ..subject.subject import Subject
from .activation_store.source import ActivationSource, ContextBatch
from .batch_activations import batch_activations
from .batch_plan import Batch, BatchPlan
from .settings import vectors_sha256
from .site_totals import SiteTotals
from .store import Columns, ExemplarsFile, results_table, statistics_columns
from .thread_team import ThreadTeam

BLOCK = 1536
"""Units whose activations are computed at once, 25 MB for a batch."""
ROUND = 16_384
"""Units whose totals are in memory at once, 90 MB. The vectors are read again for each round."""


@dataclass(frozen=True)
class DerivedUnits:
    """Units that are a function of vectors of the subject.

    Attributes:
        site: where they are indexed; its kind says whether they have two sides.
        reads: the vectors: `stream`, `mlp_in`, `mlp` or `head` of a layer.
        width: number of units.
        columns: the activations of a range of the units on a batch of vectors.
        names: of `resid` units, whose addresses are ``resid.LAYER@NAME``.
        sha256: of what decides the columns in addition to the vectors, such as directions; "" if nothing
            does.
    """

    site: Site
    reads: Site
    width: int
    columns: Callable[[Float[Tensor, "batch seq width"], slice], Float[Tensor, "batch seq column"]]
    names: tuple[str, ...] = ()
    sha256: str = ""


def direction_units(
    layer: int, reads: Site, directions: Mapping[str, Float[Tensor, " width"]]
) -> DerivedUnits:
    """Units ``resid.LAYER@NAME``: projections of the vectors at a site on directions, as given."""
    matrix = torch.stack(list(directions.values())).float()

    def project(
        vectors: Float[Tensor, "batch seq width"], block: slice
    ) -> Float[Tensor, "batch seq column"]:
        return vectors.float() @ matrix[block].to(vectors.device).T

    names, sha256 = tuple(directions), vectors_sha256(matrix)
    return DerivedUnits(Site("resid", layer), reads, len(matrix), project, names, sha256)


def own_units(subject: Subject, site: Site) -> DerivedUnits:
    """The units that the subject has at a site."""
    if site.kind == "resid":
        return direction_units(site.layer, subject.shape.raw(site), subject.directions[site.layer])
    return DerivedUnits(site, site, subject.shape.count(site), lambda vectors, b: vectors[..., b])


@dataclass(frozen=True)
class DerivedPass:
    """Reads one split for one site's units.

    Attributes:
        source: has the vectors.
        k: best contexts to keep of each unit and side.
        folder: for working files.
        report: called after each batch with the tokens that it read.
    """

    subject: Subject
    units: DerivedUnits
    source: ActivationSource
    plan: BatchPlan
    k: int
    folder: Path
    team: ThreadTeam
    report: Callable[[int], None]

    @property
    def n_rounds(self) -> int:
        """How often the split is read."""
        return -(-self.units.width // ROUND)

    def run(self, out: Path) -> Columns:
        """Write the exemplars into the split's folder `out`; returns the statistics."""
        statistics: list[Columns] = []
        n_units = 0
        with ExemplarsFile(out, self.units.site) as file:
            for first in range(0, self.units.width, ROUND):  # 1.
                for totals in self._round(first, min(first + ROUND, self.units.width)):
                    results = totals.results()
                    file.append(results_table(results, n_units), len(totals.total))  # 3.
                    n_units += len(totals.total)
                    statistics.append(statistics_columns(results))
                shutil.rmtree(self.folder, ignore_errors=True)
        columns = {k: np.concatenate([block[k] for block in statistics]) for k in statistics[0]}
        return columns | {"unit": np.arange(self.units.width, dtype=np.int32)}

    def _round(self, first: int, last: int) -> list[SiteTotals]:
        blocks = [slice(start, min(start + BLOCK, last)) for start in range(first, last, BLOCK)]
        totals = [self._empty(block) for block in blocks]
        for batch in self.plan.batches():  # 2.
            vectors = self._vectors(batch)
            for block, of_block in zip(blocks, totals, strict=True):
                with torch.inference_mode():
                    values = batch_activations(self.units.columns(vectors, block), batch)
                sums = of_block.update(values, batch, self.team.blocks)
                of_block.keep(values, batch, sums)
                if not of_block.finite:
                    self._refuse(of_block, block)
            self.report(batch.n_tokens)
        return totals

    def _empty(self, block: slice) -> SiteTotals:
        folder = self.folder / str(block.start)
        folder.mkdir(parents=True)
        n_units = block.stop - block.start
        return SiteTotals.empty(self.units.site, n_units, self.k, self.plan, folder)

    def _vectors(self, batch: Batch) -> Float[Tensor, "batch seq width"]:
        ids = torch.from_numpy(batch.tokens.astype(np.int64)).to(self.subject.device)
        length = batch.lengths
        read: list[Tensor] = []
        self.source.read(
            ContextBatch(batch.rows, length, ids),
            {self.units.reads: None},
            lambda _site, vectors: read.append(vectors),
        )
        return read[0]

    def _refuse(self, totals: SiteTotals, block: slice) -> None:
        """Raise UsageError that names the first unit with no finite number."""
        is_finite = np.isfinite(totals.low) & np.isfinite(totals.high)
        unit, site = block.start + int(np.argmin(is_finite)), self.units.site
        name = f"@{self.units.names[unit]}" if self.units.names else f".{unit}"
        refuse(self.subject.name, self.subject.dtype, f"{site}{name}")
