"""The pass over one split: all sites' totals, updated batch by batch and written as Parquet.

1. Resume from the newest checkpoint, if a pass was killed here.
2. Read each batch; every site's activations are added to its totals before the next layer is
   computed.
3. A few batches are run again without hooks, for the clock.
4. At the end, write statistics, exemplars, contexts and documents into a folder that appears
   complete or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..files import atomic_folder
from ..files.sealed_json import write_sealed
from ..subject import capture as forward
from ..subject.address import Site
from ..subject.non_finite import refuse
from ..subject.subject import Subject
from .activation_store.recorder import StoreRecorder
from .batch_activations import BatchActivations, batch_activations
from .batch_plan import Batch, BatchPlan
from .checkpoint import Checkpoints
from .index_files import files_to_json, hash_files
from .latent_totals import LatentTotals
from .pass_clock import PassClock, is_timed
from .site_totals import SiteTotals
from .store import Columns, statistics_columns, write_exemplars, write_statistics, write_text
from .thread_team import ThreadTeam

WITHIN_LAYER = ("z", "attn_out", "mid", "mlp_in", "mlp", "mlp_out", "stream")
"""Raw sites of a layer in the order of the forward pass."""


@dataclass
class SplitPass:
    """One split's pass.

    Attributes:
        sites: of units that all have an activation at every token.
        latents: of dictionaries.
        k: best contexts to keep of each unit and side.
        folder: for the files of the unfinished pass.
        manifest: for the hashes of the split's files; written before they appear.
        report: called after each batch with the tokens that it read.
        recorder: writes the activation store on the way.
        keeps_sums: whether the sums of each batch are kept, for a merge.
    """

    keeps_sums: ClassVar[bool] = False

    subject: Subject
    sites: Sequence[Site]
    plan: BatchPlan
    k: int
    folder: Path
    manifest: Path
    clock: PassClock
    team: ThreadTeam
    report: Callable[[int], None]
    checkpoint_every: int | None = None
    recorder: StoreRecorder | None = None
    latents: Sequence[LatentTotals] = ()

    def run(self, out: Path) -> None:
        """Read what is left of the split and write it to the folder `out`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        totals = {site: self._empty(site) for site in self.sites}
        # 1. Resume.
        checkpoints = Checkpoints(self.folder, self.checkpoint_every)
        done, stored, latents = checkpoints.load(list(totals.values()), self.clock)
        for of_dictionary in self.latents:
            of_dictionary.resume(latents.get(of_dictionary.dictionary.name))
        done_tokens = self.plan.tokens_before(done)
        if self.recorder:
            self.recorder.resume(stored, done_tokens)
        self.report(done_tokens)
        # 2. Read the remaining batches.
        for batch in self.plan.batches(done):
            self._read(batch, totals)
            if checkpoints.due() and batch.turn + 1 < self.plan.n_turns:
                with self.clock.working():
                    self._save(checkpoints, list(totals.values()), batch.turn + 1)
            self.report(batch.n_tokens)
        # 4. Write the results.
        with self.clock.working():
            if self.recorder:
                self.recorder.finish()
            self._with_room(lambda: self.write(totals, out))

    def _empty(self, site: Site) -> SiteTotals:
        n_units = self.subject.shape.count(site)
        return SiteTotals.empty(
            site, n_units, self.k, self.plan, self.folder, keeps_sums=self.keeps_sums
        )

    def _save(self, checkpoints: Checkpoints, totals: Sequence[SiteTotals], done: int) -> None:
        def save() -> None:
            stored = self.recorder.checkpoint() if self.recorder else None
            latents = {of.dictionary.name: of.checkpoint() for of in self.latents}
            checkpoints.save(totals, self.clock, done, stored, latents)

        self._with_room(save)

    def _with_room(self, write: Callable[[], None]) -> None:
        """Write something; if the store has filled the disk, delete the store and write it then."""
        if self.recorder is None or not self.recorder.active:
            write()
            return
        with self.recorder.room():
            write()
        if not self.recorder.active:
            write()

    def _read(self, batch: Batch, totals: dict[Site, SiteTotals]) -> None:
        ids = torch.from_numpy(batch.tokens.astype(np.int64)).to(self.subject.device)
        recorder = self.recorder
        sites = list(dict.fromkeys([*self.sites, *(latents.reads for latents in self.latents)]))
        if recorder:
            recorder.begin(batch, ids)
            sites = list(dict.fromkeys([*sites, *recorder.sites]))

        def consume(site: Site, values: Float[Tensor, "batch seq unit"]) -> None:
            if site in totals:
                activations = batch_activations(values, batch)
                sums = totals[site].update(activations, batch, self.team.blocks)
                self._with_room(lambda: totals[site].keep(activations, batch, sums))
                if not totals[site].finite:
                    self._refuse(site, activations, batch)
            for latents in self.latents:
                if latents.reads == site:
                    self._with_room(lambda latents=latents: latents.take(values, batch))
            if recorder:
                recorder.take(site, values)

        start = time.perf_counter()
        self.subject.stream(ids, sites, consume)
        seconds, bare_seconds = time.perf_counter() - start, None
        # 3. Run it again without hooks.
        if is_timed(self.plan.split, batch.turn, self.plan.n_turns):
            start = time.perf_counter()
            bare_pass(
                self.subject, ids, [*self.sites, *(latents.reads for latents in self.latents)]
            )
            _synchronize(self.subject.device)
            bare_seconds = time.perf_counter() - start
        self.clock.add_batch(seconds, bare_seconds)

    def _refuse(self, site: Site, activations: BatchActivations, batch: Batch) -> None:
        """Raise UsageError that names the first unit, and the document, with no finite number."""
        if found := activations.first_not_finite():
            row, unit = found
            number = self.plan.contexts.document[self.plan.rows[batch.rows[row]]]
            document = self.plan.contexts.documents[number].id
            named = f"unit {unit} of {site}, in document {document!r}"
            refuse(self.subject.name, self.subject.dtype, named)

    def write(self, totals: dict[Site, SiteTotals], out: Path) -> None:
        """Write what has been read to the folder `out`."""
        statistics: dict[Site, Columns] = {}

        def write_site(site: Site) -> None:
            results = totals[site].results()
            write_exemplars(part, results)
            statistics[site] = statistics_columns(results)

        with atomic_folder(out) as part:
            for name in ("exemplars", "statistics"):
                (part / name).mkdir()
            write_text(part, self.plan)
            self.team.map(write_site, self.sites)
            for kind in dict.fromkeys(site.kind for site in self.sites):
                of_kind = [statistics[site] for site in self.sites if site.kind == kind]
                write_statistics(part, kind, of_kind)
            for latents in self.latents:
                write_statistics(part, latents.site.file_stem, [latents.write(part)])
            write_sealed(self.manifest, {"files": files_to_json(hash_files(part))})


def bare_pass(subject: Subject, ids: Int[Tensor, "batch seq"], sites: Sequence[Site]) -> None:
    """The forward pass up to the deepest of the sites, with nothing read on the way."""
    raw = [subject.shape.raw(site) for site in sites]
    deepest = max(raw, key=lambda site: (site.layer, WITHIN_LAYER.index(site.kind)))
    forward.stream(subject.model, subject.parts, ids, [deepest], lambda _site, _value: None, {})


def _synchronize(device: torch.device) -> None:
    """Wait for an accelerator's queue, so that the clock includes it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        with suppress(AttributeError):
            torch.mps.synchronize()
