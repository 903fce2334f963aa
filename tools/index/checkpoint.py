"""A split's running totals on disk, so that a killed pass resumes and ends the same, bit for bit.

A checkpoint is a folder that appears complete or not at all; its name has the number of batches
that it covers. Its files' hashes are checked when it is loaded, and so is what it counts on in the
working files.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..errors import CorruptError
from ..files import atomic_folder
from ..files.checked_file import check_file
from ..files.sealed_json import read_sealed, write_sealed
from .index_files import files_from_json, files_to_json, hash_files
from .pass_clock import PassClock
from .site_totals import SiteTotals
from .slot_file import SlotFile
from .topk import TopK

COST_RATIO = 200
"""A checkpoint is due after this many times the time that the last one took: half a percent."""
MIN_SECONDS = 20.0
"""Least time between two checkpoints; also what a killed pass may lose on a small subject."""
_DESCRIPTION = "checkpoint.json"


class LoadedCheckpoint(NamedTuple):
    """How many batches a checkpoint covers, 0 if there was none; that of the store and of latents."""

    batches: int
    store: dict[str, Any] | None
    latents: dict[str, dict[str, Any]]


@dataclass
class Checkpoints:
    """The checkpoints of one split, in its working folder.

    Attributes:
        every: batches between two; None means by the clock.
    """

    folder: Path
    every: int | None = None
    _cost: float = 0.0
    _last: float = field(default_factory=time.monotonic)
    _count: int = 0

    def due(self) -> bool:
        """Whether it is time for a checkpoint; call once per batch."""
        self._count += 1
        if self.every is not None:
            return self._count % self.every == 0
        return time.monotonic() - self._last > max(MIN_SECONDS, COST_RATIO * self._cost)

    def save(
        self,
        sites: Sequence[SiteTotals],
        clock: PassClock,
        batches: int,
        store: dict[str, Any] | None = None,
        latents: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        """Write the totals after so many batches, and delete older ones.

        Args:
            store: the checkpoint of the activation store that is written on the way.
            latents: those of the dictionaries, by name.
        """
        start = time.monotonic()
        for totals in sites:
            for file in slot_files(totals).values():
                file.sync()
        with atomic_folder(self.folder / f"checkpoint-{batches}") as part:
            for totals in sites:
                save_file(totals_arrays(totals), part / _file_name(totals))
            files = files_to_json(hash_files(part))
            content = {"clock": clock.to_json(), "files": files, "store": store}
            content["latents"] = dict(latents or {})
            write_sealed(part / _DESCRIPTION, content)
        for number, path in self._saved():
            if number != batches:
                shutil.rmtree(path)
        self._last = time.monotonic()
        self._cost = self._last - start

    def load(self, sites: Sequence[SiteTotals], clock: PassClock) -> LoadedCheckpoint:
        """Restore the newest checkpoint.

        Raises:
            CorruptError: it is damaged, or what it counts on is.
        """
        saved = self._saved()
        if not saved:
            return LoadedCheckpoint(0, None, {})
        batches, path = saved[-1]
        cure = f"rm -r {self.folder}, then run the same command again"
        try:
            description = read_sealed(path / _DESCRIPTION)
            hashes = files_from_json(description["files"])
            for totals in sites:
                file = path / _file_name(totals)
                check_file(file, hashes[file.name], cure)
                _restore(totals, load_file(file))
            for name, value in description["clock"].items():
                setattr(clock, name, value)
            store, latents = description.get("store"), description.get("latents", {})
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            raise CorruptError(f"{path} is damaged ({error}); {cure}") from error
        for totals in sites:
            for slots in slot_files(totals).values():
                slots.check(cure)
        return LoadedCheckpoint(batches, store, latents)

    def delete(self) -> None:
        """Delete all checkpoints."""
        for _, path in self._saved():
            shutil.rmtree(path)

    def _saved(self) -> list[tuple[int, Path]]:
        paths = self.folder.glob("checkpoint-*")
        return sorted((int(path.name.partition("-")[2]), path) for path in paths)


def _file_name(totals: SiteTotals) -> str:
    return f"{totals.site.file_stem}.safetensors"


def totals_arrays(totals: SiteTotals) -> dict[str, np.ndarray]:
    """A site's totals, and of its files which entries are written, with their checksums."""
    arrays = {
        "n": np.array(totals.n),
        "total": totals.total,
        "squares": totals.squares,
        "low": totals.low,
        "high": totals.high,
    }
    for name, slots in slot_files(totals).items():
        arrays |= {name: slots.filled, f"{name}_sums": slots.sums}
    for side, top in enumerate(totals.top):
        arrays |= {f"keys{side}": top.keys, f"rows{side}": top.rows}
    return arrays


def _restore(totals: SiteTotals, arrays: dict[str, np.ndarray]) -> None:
    totals.n = int(arrays["n"])
    totals.total, totals.squares = arrays["total"], arrays["squares"]
    totals.low, totals.high = arrays["low"], arrays["high"]
    for name, slots in slot_files(totals).items():
        slots.filled, slots.sums = arrays[name], arrays[f"{name}_sums"]
    sides = range(len(totals.top))
    totals.top = [TopK(arrays[f"keys{side}"], arrays[f"rows{side}"]) for side in sides]


def slot_files(totals: SiteTotals) -> dict[str, SlotFile]:
    """The files of a site's totals, by the name of their entries in a checkpoint."""
    files = {"pool": totals.pool, "sample": totals.sample}
    return files | ({"batches": totals.sums} if totals.sums else {})
