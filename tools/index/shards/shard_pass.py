"""The pass over a shard's part of a split, which leaves what the merge needs instead of results.

plan.safetensors        tokens of each batch of the split, and the batches before it; the shard's
                        part of pool and sample
mlp-12.safetensors      a site's totals, best contexts, and checksums of the entries of its files
pool-mlp-12.f16, sample-mlp-12.f16, sums-mlp-12.f64      see `site_totals`; a row of sums per batch
events-NAME-0.bin       where latents of a dictionary fire (`latent_blocks`)
contexts.parquet, documents.parquet     the split's text, in the first shard
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import save_file

from ...files import atomic_folder
from ...files.links import link_or_copy
from ...files.sealed_json import write_sealed
from ...subject.address import Site
from ..checkpoint import slot_files, totals_arrays
from ..index_files import files_to_json, hash_files
from ..latent_blocks import LatentText
from ..site_totals import SiteTotals
from ..split_pass import SplitPass
from ..store import write_text
from .split_part import PLAN, totals_name


class ShardPass(SplitPass):
    """Reads a shard's batches of one split."""

    keeps_sums: ClassVar[bool] = True

    def write(self, totals: dict[Site, SiteTotals], out: Path) -> None:
        """Write the shard's part to the folder `out`."""
        with atomic_folder(out) as part:
            save_file(self._plan_arrays(), part / PLAN)
            if self.plan.shard.number == 1:
                write_text(part, self.plan)
            for of_dictionary in self.latents:
                for path in of_dictionary.paths:
                    link_or_copy(path, part / path.name)
            for site, of_site in totals.items():
                save_file(totals_arrays(of_site), part / totals_name(site))
            files = hash_files(part)
            for of_site in totals.values():  # these files have checksums of each entry
                for slots in slot_files(of_site).values():
                    if slots.path.exists():
                        link_or_copy(slots.path, part / slots.path.name)
            write_sealed(self.manifest, {"files": files_to_json(files)})

    def _plan_arrays(self) -> dict[str, np.ndarray]:
        text = LatentText.of(self.plan, self.k)
        arrays = {
            "batch_tokens": self.plan.batch_tokens,
            "batches_before": np.array(self.plan.batches_before),
            "pool": text.pool,
            "sample": self.plan.sample,
            "k": np.array(text.k),
            "order": np.ascontiguousarray(text.order),
            "context_len": np.array(text.context_len),
        }
        latents = {f"n-{of.dictionary.name}": np.array(of.n) for of in self.latents}
        return arrays | latents
