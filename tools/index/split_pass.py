"""The pass over one split: batch by batch through the subject, all sites' totals kept up, and
closed into Parquet.

1. Take up the newest checkpoint, if a pass was killed here.
2. Read each batch; every site's activations go into its totals while the next layer is not yet
   computed.
3. Every tenth batch is read again with nothing listening, for the clock.
4. At the end write statistics, exemplars, contexts and documents into a folder that appears whole
   or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..files import atomic_folder
from ..subject import capture as forward
from ..subject.address import Site
from ..subject.subject import Subject
from .batch_plan import Batch, BatchPlan
from .checkpoint import Checkpoints
from .pass_clock import EVERY, PassClock
from .site_totals import SiteTotals
from .store import statistics_columns, write_exemplars, write_statistics, write_text
from .thread_team import ThreadTeam


@dataclass
class SplitPass:
    """One split's pass.

    Attributes:
        folder: for the files of the unfinished pass.
        report: called after each batch with the tokens that it read.
    """

    subject: Subject
    sites: Sequence[Site]
    plan: BatchPlan
    k: int
    folder: Path
    clock: PassClock
    team: ThreadTeam
    report: Callable[[int], None]
    checkpoint_every: int | None = None

    def run(self, out: Path) -> None:
        """Read what is left of the split and write it to the folder `out`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        states = {
            site: SiteTotals.empty(
                site, self.subject.shape.count(site), self.k, self.plan, self.folder
            )
            for site in self.sites
        }
        checkpoints = Checkpoints(self.folder, self.checkpoint_every)
        done = checkpoints.load(list(states.values()), self.clock)
        self.report(sum(batch.n_tokens for batch in self.plan.batches() if batch.number < done))
        for batch in self.plan.batches(done):
            self.read(batch, states)
            if checkpoints.due() and batch.number + 1 < self.plan.n_batches:
                with self.clock.working():
                    checkpoints.save(list(states.values()), self.clock, batch.number + 1)
            self.report(batch.n_tokens)
        with self.clock.working():
            self.close(states, out)

    def read(self, batch: Batch, states: dict[Site, SiteTotals]) -> None:
        """Take one batch into the totals."""
        ids = torch.from_numpy(batch.tokens.astype(np.int64)).to(self.subject.device)

        def consume(site: Site, values: Float[Tensor, "batch seq unit"]) -> None:
            states[site].update(values.float().cpu().numpy(), batch, self.team.blocks)

        with self.clock.working(ids.numel()):
            self.subject.stream(ids, self.sites, consume)
        if batch.number % EVERY == min(EVERY // 2, self.plan.n_batches - 1):
            with self.clock.bare(ids.numel()):
                bare_pass(self.subject, ids, self.sites)
                _wait_for(self.subject.device)

    def close(self, states: dict[Site, SiteTotals], out: Path) -> None:
        """Write the split's files."""
        found: dict[Site, dict[str, np.ndarray]] = {}

        def write(site: Site) -> None:
            write_exemplars(part, states[site])
            found[site] = statistics_columns(states[site])

        with atomic_folder(out) as part:
            for name in ("exemplars", "statistics"):
                (part / name).mkdir()
            write_text(part, self.plan)
            self.team.map(write, self.sites)
            for kind in dict.fromkeys(site.kind for site in self.sites):
                write_statistics(
                    part, kind, [found[site] for site in self.sites if site.kind == kind]
                )


def bare_pass(subject: Subject, ids: Int[Tensor, "batch seq"], sites: Sequence[Site]) -> None:
    """The forward pass as far as the deepest of the sites, with nothing read on the way."""
    order = ("head", "mlp", "resid")  # within a layer
    deepest = max(sites, key=lambda site: (site.layer, order.index(site.kind)))
    forward.stream(subject.model, subject.parts, ids, [deepest.raw], lambda _site, _value: None, {})


def _wait_for(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given, so that the clock sees it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        with suppress(AttributeError):
            torch.mps.synchronize()
