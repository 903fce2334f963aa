"""Shards become an index: the same files, byte for byte, as one process makes.

1. Check that all shards are there, once each, and of one index.
2. For each split: put the sites together (`split_part`), and write statistics and exemplars as the pass
   of one process does. The text is the first shard's.
3. For each split: put the activation stores together (`merge_store`).
4. Write `index.json`, whose times are the sums of those of the shards and of the merge.

Splits and stores appear complete or not at all; a killed merge goes on with the first that is missing.
Neither torch nor the subject is loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ...corpus import SPLITS
from ...files import atomic_file, atomic_folder, locked, writing
from ...files.sealed_json import write_sealed
from ...subject.address import Site
from ..activation_store.layout import DESCRIPTION as STORE_DESCRIPTION
from ..activation_store.layout import store_folder
from ..description import MergedFrom, complete_index
from ..index import IndexSummary
from ..index_files import DIRECTIONS, VOCABULARY, files_to_json, hash_files
from ..latent_blocks import write_latents
from ..pass_clock import PassClock
from ..pass_progress import Progress
from ..settings import DICTIONARIES, claim_folder
from ..store import Columns, statistics_columns, write_exemplars, write_statistics
from .merge_store import check_stores, merge_store
from .parts import open_parts
from .shard_folder import ShardFolder
from .split_part import SplitParts

TEXT = ("contexts.parquet", "documents.parquet")


def merge_shards(
    parts: Sequence[Path | str],
    out: Path | str,
    *,
    store: bool = True,
    progress: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> IndexSummary:
    """Merge the folders of all shards of an index into the folder `out`.

    A finished index of the same content is left as it is. The shards are only read.

    Args:
        store: merge their activation stores, if they have them.
        progress: called as parts of the shards have been read.
        warn: called with a line where the shards come from unlike machines.

    Raises:
        UsageError: a shard is missing or given twice, they are not of one index, or `out` holds
            something else.
        CorruptError: a shard is damaged.
        UnavailableError: the disk is full or cannot be written to.
    """
    folders = open_parts([Path(part) for part in parts], warn)
    out = Path(out)
    has_store = store and check_stores(folders)
    with writing(out), locked(out):
        if summary := claim_folder(out, folders[0].settings):
            return summary
        return _Merge(folders, out, progress, has_store).run()


@dataclass
class _Merge:
    """The merge of some shards, which have been checked.

    Attributes:
        done: bytes of the shards that have been read.
    """

    parts: Sequence[ShardFolder]
    out: Path
    progress: Callable[[Progress], None] | None
    has_store: bool
    done: int = 0

    def run(self) -> IndexSummary:
        """Do what is left to do."""
        clock = self._clock()
        with clock.working():
            for split in SPLITS:
                split_parts = SplitParts(self.parts, split, self._report)
                if not (self.out / split).exists():
                    self._merge_split(split_parts)
                stored = store_folder(self.out, split) / STORE_DESCRIPTION
                if self.has_store and not stored.exists():
                    batches = split_parts.batch_tokens, split_parts.owners
                    merge_store(self.parts, split, self.out, *batches, self._report)
            for name in (VOCABULARY, DIRECTIONS):
                if name in self.parts[0].hashes:
                    with atomic_file(self.out / name) as path:
                        shutil.copyfile(self.parts[0].file(name), path)
        first = self.parts[0]
        peak = max(part.summary.peak_rss_mb for part in self.parts)
        return complete_index(
            self.out,
            first.settings,
            first.n_contexts,
            tokens=first.tokens,
            units=first.units,
            clock=clock,
            merged=MergedFrom(len(self.parts), first.versions, peak),
        )

    def _merge_split(self, parts: SplitParts) -> None:
        sites = [Site(*site) for site in self.parts[0].settings["sites"]]
        with atomic_folder(self.out / parts.split) as folder:
            for name in ("exemplars", "statistics"):
                (folder / name).mkdir()
            for name in TEXT:
                shutil.copyfile(self.parts[0].file(f"{parts.split}/{name}"), folder / name)
            statistics: dict[str, list[Columns]] = {}
            for site in sites:
                if site.kind == "sae":
                    statistics[site.file_stem] = [self._latents(parts, site, folder)]
                else:
                    results = parts.site(site)
                    write_exemplars(folder, results)
                    statistics.setdefault(site.kind, []).append(statistics_columns(results))
            for name, columns in statistics.items():
                write_statistics(folder, name, columns)
            files = files_to_json(hash_files(folder))
            write_sealed(self.out / "work" / f"{parts.split}-files.json", {"files": files})

    def _latents(self, parts: SplitParts, site: Site, folder: Path) -> Columns:
        n_latents = self.parts[0].settings[DICTIONARIES][site.name]["n_latents"]
        events = parts.events(site.name, n_latents)
        n = parts.n_counted(site.name)
        return write_latents(folder, site, n_latents, n, parts.latent_text, events)

    def _clock(self) -> PassClock:
        """The sum of the shards' clocks."""
        clock = PassClock()
        for field in fields(clock):
            seconds = sum(getattr(part.clock, field.name) for part in self.parts)
            setattr(clock, field.name, seconds)
        return clock

    def _report(self, size: int) -> None:
        self.done += size
        if self.progress:
            total = sum(part.summary.bytes for part in self.parts)
            done = min(self.done, total)
            self.progress(Progress(done >> 20, total >> 20, None, step="merge", unit="MB"))
