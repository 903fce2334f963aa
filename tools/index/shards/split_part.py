"""What the shards hold of one split, put together site by site.

1. Extremes, counts and best contexts: shard after shard.
2. Pool and sample: each entry goes to its place among those of all shards.
3. Sums: batch after batch, as one process adds them.

One site of one shard is in memory at a time, besides what is put together, so memory depends neither
on the number of shards nor on the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ...corpus import Split
from ...errors import CorruptError
from ...subject.address import Site
from ..latent_blocks import BLOCK, LatentText, events_name
from ..site_totals import SiteResults
from ..slot_file import SlotFile
from ..topk import TopK, merge_topk
from .shard_folder import ShardFolder

PLAN = "plan.safetensors"


def totals_name(site: Site) -> str:
    """The file of a site's totals."""
    return f"{site.file_stem}.safetensors"


@dataclass
class SplitParts:
    """One split of all shards.

    Attributes:
        parts: in the order of their numbers.
        report: called with the bytes that have been read.
    """

    parts: Sequence[ShardFolder]
    split: Split
    report: Callable[[int], None]

    @property
    def batch_tokens(self) -> Int[np.ndarray, " batch"]:
        """Tokens of each batch."""
        return self._plans[0]["batch_tokens"]

    @property
    def owners(self) -> Int[np.ndarray, " batch"]:
        """For each batch, the place of its shard in `parts`; each has every `len(parts)`-th."""
        first = self._plans[0]
        numbers = int(first["batches_before"]) + np.arange(len(first["batch_tokens"]))
        return numbers % len(self.parts)

    @property
    def latent_text(self) -> LatentText:
        """What the exemplars of latents need to know of the text."""
        first = self._plans[0]
        pool = np.sort(np.concatenate([plan["pool"] for plan in self._plans]))
        return LatentText(int(first["k"]), first["order"], pool, int(first["context_len"]))

    def n_counted(self, dictionary: str) -> int:
        """Tokens at which a dictionary's latents were computed."""
        return sum(int(plan[f"n-{dictionary}"]) for plan in self._plans)

    def site(self, site: Site) -> SiteResults:
        """A site's totals over the whole split."""
        merged = _MergedSite(site, self._places("pool"), self._places("sample"))
        sums: list[SlotFile] = []
        for row, part in enumerate(self.parts):
            arrays = self._load(part, totals_name(site))
            files = self._slot_files(part, site, arrays)
            merged.add(row, arrays, files["pool"], files["sample"], part.cure)
            sums.append(files["batches"])
            self.report(sum(array.nbytes for array in arrays.values()))
            self.report(files["pool"].bytes + files["sample"].bytes)
        total, squares = self._added(sums)
        pool_contexts = self.latent_text.pool
        return merged.results(total, squares, pool_contexts)

    def events(self, dictionary: str, n_latents: int) -> Iterator[list[Path]]:
        """The files with the events of each block of a dictionary's latents, one for each shard."""
        for block in range(-(-n_latents // BLOCK)):
            name = f"{self.split}/{events_name(dictionary, block)}"
            paths = [part.file(name) for part in self.parts]
            yield paths
            self.report(sum(path.stat().st_size for path in paths))

    @cached_property
    def _plans(self) -> list[dict[str, np.ndarray]]:
        plans = [self._load(part, PLAN) for part in self.parts]
        for plan in plans[1:]:
            del plan["batch_tokens"]  # of the whole split, and so the same in all
        return plans

    def _load(self, part: ShardFolder, name: str) -> dict[str, np.ndarray]:
        path = part.file(f"{self.split}/{name}")
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise CorruptError(f"{path} is damaged ({error}); {part.cure}") from error

    def _slot_files(
        self, part: ShardFolder, site: Site, arrays: Mapping[str, np.ndarray]
    ) -> dict[str, SlotFile]:
        """A site's files of single entries, by the name of their entries in the totals."""
        n_units, seq = len(arrays["low"]), arrays["rows0"].shape[2]
        folder, stem = part.path / self.split, site.file_stem

        def slots(name: str, file: str, shape: tuple[int, ...], dtype: type) -> SlotFile:
            return SlotFile(folder / file, shape, arrays[name], arrays[f"{name}_sums"], dtype)

        return {
            "pool": slots("pool", f"pool-{stem}.f16", (seq, n_units), np.float16),
            "sample": slots("sample", f"sample-{stem}.f16", (n_units,), np.float16),
            "batches": slots("batches", f"sums-{stem}.f64", (2, n_units), np.float64),
        }

    def _places(self, name: str) -> list[Int[np.ndarray, " slot"]]:
        """For each shard, the places of its entries among all."""
        own = [plan[name] for plan in self._plans]
        whole = np.sort(np.concatenate(own))
        return [np.searchsorted(whole, numbers) for numbers in own]

    def _added(self, sums: Sequence[SlotFile]) -> Float[np.ndarray, "2 unit"]:
        totals = np.zeros(sums[0].shape)
        for batch, row in enumerate(self.owners.tolist()):
            totals += sums[row].one(batch // len(sums), self.parts[row].cure)
        self.report(sum(slots.bytes for slots in sums))
        return totals


class _MergedSite:
    """What has been put together of one site."""

    def __init__(
        self,
        site: Site,
        pool_places: Sequence[Int[np.ndarray, " slot"]],
        sample_places: Sequence[Int[np.ndarray, " slot"]],
    ) -> None:
        self._site = site
        self._pool_places, self._sample_places = pool_places, sample_places
        self._n = 0

    def add(
        self,
        row: int,
        arrays: Mapping[str, np.ndarray],
        pool: SlotFile,
        sample: SlotFile,
        cure: str,
    ) -> None:
        """Add the shard of a row: its totals, and its entries of pool and sample."""
        sides = range(sum(name.startswith("keys") for name in arrays))
        top = [TopK(arrays[f"keys{side}"], arrays[f"rows{side}"]) for side in sides]
        low, high = arrays["low"], arrays["high"]
        if not row:
            self._low, self._high, self._top = low, high, top
            n_pool, n_sample = (
                sum(map(len, places)) for places in (self._pool_places, self._sample_places)
            )
            self._pool = np.empty((n_pool, *pool.shape), np.float16)
            self._sample = np.empty((n_sample, *sample.shape), np.float16)
        else:
            self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
            self._top = [merge_topk(*both) for both in zip(self._top, top, strict=True)]
        self._n += int(arrays["n"])
        for whole, slots, places in (
            (self._pool, pool, self._pool_places[row]),
            (self._sample, sample, self._sample_places[row]),
        ):
            for start, entries in slots.parts(cure):
                whole[places[start : start + len(entries)]] = entries

    def results(
        self,
        total: Float[np.ndarray, " unit"],
        squares: Float[np.ndarray, " unit"],
        pool_contexts: Int[np.ndarray, " pool"],
    ) -> SiteResults:
        """The whole."""
        return SiteResults(
            self._site,
            self._n,
            total,
            squares,
            self._low,
            self._high,
            self._top,
            self._pool,
            pool_contexts,
            self._sample,
        )
