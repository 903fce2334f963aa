"""What an index keeps of a dictionary's latents on one split, computed where they fire.

A latent is 0 at most tokens, so that what a split has of it is a short list. Its cost is that of the
encoder and of the list, and memory grows neither with the text nor with the number of latents.

1. Each batch is encoded some tokens at a time. Each activation above 0 is an event: latent, context,
   position, value. Events are appended to files, one for `BLOCK` latents each.
2. At the end each file gives statistics and exemplars (`latent_blocks`). Position 0 does not count,
   as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..errors import CorruptError, UsageError
from ..subject.address import Site
from ..subject.latents import Latents
from .batch_plan import Batch, BatchPlan
from .latent_blocks import BLOCK, EVENT, LatentText, events_name, write_latents
from .store import Columns

NUMBERS_AT_ONCE = 1 << 23
"""Activations that are encoded at once: 32 MB."""
DENSEST = 0.2
"""Largest share of a dictionary's activations that are not 0. A million tokens of 16,384 latents have
46 GB of events then."""
FEW = 1024
"""Latents of a dictionary that may be dense: its events are few."""


@dataclass
class LatentTotals:
    """One dictionary's latents on one split.

    Attributes:
        k: best contexts to keep of each latent.
        folder: for the files of events.
        n: tokens read, without those at position 0; `n_events`: activations above 0 among them.
    """

    dictionary: Latents
    plan: BatchPlan
    k: int
    folder: Path
    n: int = 0
    n_events: int = 0
    sizes: list[int] = field(default_factory=list[int])

    @property
    def site(self) -> Site:
        """The site of the latents."""
        return Site.of_dictionary(self.dictionary.name)

    @property
    def reads(self) -> Site:
        """The site of the vectors."""
        return self.dictionary.reads

    def resume(self, saved: dict[str, Any] | None) -> None:
        """Go on where `checkpoint` was called; from the beginning without it.

        Raises:
            CorruptError: a file is shorter than it was then.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        n_files = -(-self.dictionary.n_latents // BLOCK)
        saved = saved or {"n": 0, "n_events": 0, "sizes": [0] * n_files}
        self.n, self.n_events, self.sizes = saved["n"], saved["n_events"], list(saved["sizes"])
        for number, size in enumerate(self.sizes):
            path = self._path(number)
            path.touch()
            if path.stat().st_size < size:
                raise CorruptError(
                    f"{path} is shorter than when it was written; rm -r {self.folder.parent}, then "
                    "run the same command again"
                )
            with path.open("r+b") as file:
                file.truncate(size)

    def checkpoint(self) -> dict[str, Any]:
        """What `resume` needs."""
        return {"n": self.n, "n_events": self.n_events, "sizes": self.sizes}

    @torch.inference_mode()
    def take(self, vectors: Float[Tensor, "batch seq width"], batch: Batch) -> None:
        """Add the events of a batch of vectors at the site that the dictionary reads (1).

        Raises:
            UsageError: a vector or an activation is not finite, or the latents are not sparse.
        """
        lengths = batch.lengths
        real = np.arange(vectors.shape[1]) < lengths[:, None]
        real[:, 0] = False
        context, position = np.nonzero(real)
        rows = vectors[torch.from_numpy(context), torch.from_numpy(position)]
        step = max(NUMBERS_AT_ONCE // self.dictionary.n_latents, 1)
        events: list[Shaped[np.ndarray, " event"]] = []
        for start in range(0, len(rows), step):
            activations = self.dictionary.encode(rows[start : start + step])
            fires = activations.nonzero().cpu().numpy()
            values = activations[tuple(fires.T)].cpu().numpy()
            if not np.isfinite(values).all():
                raise UsageError(
                    f"the dictionary {self.dictionary.name!r} computes numbers that are not finite at "
                    f"{self.reads}: check its file, and that it was made for this subject"
                )
            part = np.empty(len(values), EVENT)
            part["latent"], part["value"] = fires[:, 1], values
            token = start + fires[:, 0]
            part["context"], part["position"] = batch.rows[context[token]], position[token]
            events.append(part)
        self.n, self.n_events = self.n + len(rows), self.n_events + sum(map(len, events))
        self._require_sparse()
        self._append(np.concatenate(events) if events else np.empty(0, EVENT))

    def _require_sparse(self) -> None:
        share = self.n_events / max(self.n * self.dictionary.n_latents, 1)
        if self.dictionary.n_latents > FEW and share > DENSEST:
            raise UsageError(
                f"latents of {self.dictionary.name!r} fire on {share:.0%} of the tokens, so it is not a "
                f"sparse dictionary of {self.reads}; `hubel dictionary check` says which place fits"
            )

    def _append(self, events: Shaped[np.ndarray, " event"]) -> None:
        block = events["latent"] // BLOCK
        order = np.argsort(block, kind="stable")
        bounds = np.searchsorted(block[order], np.arange(len(self.sizes) + 1))
        for number in range(len(self.sizes)):
            part = events[order[bounds[number] : bounds[number + 1]]]
            if len(part):
                with self._path(number).open("ab") as file:
                    file.write(part.tobytes())
                self.sizes[number] += part.nbytes

    def write(self, folder: Path) -> Columns:
        """Write the exemplars into the split's folder; returns the statistics (2)."""
        blocks = [[path] for path in self.paths]
        text = LatentText.of(self.plan, self.k)
        return write_latents(folder, self.site, self.dictionary.n_latents, self.n, text, blocks)

    @property
    def paths(self) -> list[Path]:
        """The files of events, by block."""
        return [self._path(number) for number in range(len(self.sizes))]

    def _path(self, number: int) -> Path:
        return self.folder / events_name(self.dictionary.name, number)
