"""An index of units that are functions of stored vectors, over the text of another index.

Statistics and exemplars are computed by `derived_units` and written as those of any index; the
text, the vocabulary and the activation store are the other index's files, linked where the disk
allows it. A killed call goes on with the split that it was at.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from ..corpus import SPLITS, Split
from ..errors import UsageError
from ..files import atomic_folder, locked, writing
from ..files.checked_file import FileHashes, check_file
from ..files.links import link_or_copy
from ..files.sealed_json import write_sealed
from ..subject.address import Site
from ..subject.subject import Subject
from .activation_store.layout import STORE
from .activation_store.source import choose_sources
from .batch_plan import make_plan
from .build import ExemplarCounts
from .derived_units import ROUND, DerivedPass, DerivedUnits
from .description import complete_index
from .index import FORMAT, Index, IndexSummary, read_description, reader_of
from .index_directions import save_directions
from .index_files import VOCABULARY, files_to_json, hash_files
from .pass_clock import PassClock
from .pass_progress import Progress
from .settings import VECTORS, claim_folder, shape_to_json, site_to_json
from .store import Columns, write_statistics
from .thread_team import ThreadTeam

_SAME = ("subject", "corpus", "split", "context_len", "contexts")
"""What `index.json` says as that of the other index does."""
_TEXT = ("contexts.parquet", "documents.parquet")


def index_derived_units(
    subject: Subject,
    origin: Index,
    units: Sequence[DerivedUnits],
    out: Path | str,
    *,
    seed: int | None = None,
    exemplar_counts: ExemplarCounts | None = None,
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> IndexSummary:
    """Write an index of some units over the text of another index into the folder `out`.

    Args:
        units: those of each site.
        seed: of the random exemplars and of the sample for quantiles; by default the other index's.
        say: called with a line about what the store does not have.

    Raises:
        UsageError: another subject than the index's, a site or name given twice, or `out` holds
            something else.
        CorruptError: the index or its store is damaged.
        UnavailableError: the disk is full or cannot be written to.
    """
    subject.require_revision(origin.subject_revision, f"the index {str(origin.path)!r}")
    units = sorted(units, key=lambda of_site: (of_site.site.kind, of_site.site.layer))
    _check(units)
    out, counts = Path(out), exemplar_counts or ExemplarCounts()
    seed = origin.seed if seed is None else seed
    description = read_description(origin.path)
    directions = {of_site.site.layer: of_site.names for of_site in units if of_site.names}
    settings = {name: description[name] for name in _SAME} | {
        "format": FORMAT,
        "seed": seed,
        "budget": asdict(counts),
        "sites": [site_to_json(of_site.site) for of_site in units],
        "shape": shape_to_json(replace(origin.shape, directions=directions)),
    }
    hashes = {str(of_site.site.layer): of_site.sha256 for of_site in units if of_site.sha256}
    if hashes:
        settings[VECTORS] = hashes
    settings = json.loads(json.dumps(settings))
    with writing(out), locked(out):
        if summary := claim_folder(out, settings):
            return summary
        files = description.get("files", {})
        builder = _Builder(
            subject, origin, files, units, out, settings, seed, counts, progress, say
        )
        return builder.build()


def _check(units: Sequence[DerivedUnits]) -> None:
    """Raise UsageError unless every unit has a different address."""
    if not units:
        raise UsageError("no units given; give those of at least one site")
    for site, of_site in groupby(units, key=lambda given: given.site):
        if len(list(of_site)) > 1:
            raise UsageError(f"{site} given twice; give each site once")
    for of_site in units:
        n_names, needed = len(set(of_site.names)), of_site.width * (of_site.site.kind == "resid")
        if n_names != needed:
            raise UsageError(
                f"{n_names} different names given for {needed} directions of layer "
                f"{of_site.site.layer}; name each `resid` unit, and no others"
            )


@dataclass
class _Builder:
    subject: Subject
    origin: Index
    origin_files: dict[str, Any]
    units: Sequence[DerivedUnits]
    out: Path
    settings: dict[str, Any]
    seed: int
    counts: ExemplarCounts
    progress: Callable[[Progress], None] | None
    say: Callable[[str], None]
    done: int = 0
    notes: set[str] = field(default_factory=set[str])

    def build(self) -> IndexSummary:
        if not (self.origin.path / STORE).is_dir():
            self.say(f"{self.origin.path} has no activation store: the subject is run")
        clock = PassClock()
        size = torch.get_num_threads() if self.subject.device.type == "cpu" else 1
        with clock.working(), ThreadTeam(size) as team:
            for number, split in enumerate(SPLITS):
                self._build_split(split, number, team)
        self._link_file(VOCABULARY, self.out / VOCABULARY)
        self._link_store()
        own = self.subject.shape.directions
        kept = [of.site for of in self.units if of.names and of.names == own.get(of.site.layer)]
        save_directions(self.subject, kept, self.out)
        return complete_index(
            self.out,
            self.settings,
            self.origin.n_contexts,
            tokens=self.origin.tokens,
            units=sum(of_site.width for of_site in self.units),
            clock=clock,
        )

    def _build_split(self, split: Split, number: int, team: ThreadTeam) -> None:
        plan = make_plan(
            reader_of(self.origin, split).contexts(),
            split,
            pool=self.counts.pool[number],
            sample=self.counts.sample[number],
            seed=self.seed,
        )
        work = self.out / "work"
        if (self.out / split).exists():
            self._report(sum(batch.n_tokens for batch in plan.batches()) * self._rounds)
            return
        statistics: dict[Site, Columns] = {}
        with atomic_folder(self.out / split) as part:
            (part / "exemplars").mkdir()
            for of_site in self.units:
                scratch = work / split
                shutil.rmtree(scratch, ignore_errors=True)  # of a killed call
                (chosen,) = choose_sources(
                    self.subject, self.origin, split, {of_site.reads: None}, self._note
                )
                k = self.counts.top[number]
                derived_pass = DerivedPass(
                    self.subject, of_site, chosen.source, plan, k, scratch, team, self._report
                )
                statistics[of_site.site] = derived_pass.run(part)
            for kind, of_kind in groupby(statistics, key=lambda site: site.kind):
                write_statistics(part, kind, [statistics[site] for site in of_kind])
            for name in _TEXT:
                self._link_file(f"{split}/{name}", part / name)
            manifest = {"files": files_to_json(hash_files(part))}
            write_sealed(work / f"{split}-files.json", manifest)

    @property
    def _rounds(self) -> int:
        """How often the text is read."""
        return sum(-(-of_site.width // ROUND) for of_site in self.units)

    def _report(self, tokens: int) -> None:
        self.done += tokens
        if self.progress:
            self.progress(Progress(self.done, self.origin.tokens * self._rounds, None))

    def _note(self, line: str) -> None:
        """Say a thing of all splits once."""
        if line not in self.notes:
            self.notes.add(line)
            self.say(line)

    def _link_file(self, name: str, path: Path) -> None:
        """Make a file of the other index a file of this one."""
        if name in self.origin_files:
            hashes = FileHashes.from_json(self.origin_files[name])
            check_file(self.origin.path / name, hashes, f"build {self.origin.path} again")
        link_or_copy(self.origin.path / name, path)

    def _link_store(self) -> None:
        """Make the other index's activation store that of this one; go on without it if need be."""
        source, store = self.origin.path / STORE, self.out / STORE
        if store.exists() or not source.is_dir():
            return
        try:
            with atomic_folder(store) as part:
                for path in filter(Path.is_file, source.rglob("*")):
                    target = part / path.relative_to(source)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.link(path, target)
        except OSError as error:
            self.say(
                f"{self.out} has no activation store, as the files of {source} cannot be linked "
                f"({error.strerror}): runs on it read the subject"
            )
