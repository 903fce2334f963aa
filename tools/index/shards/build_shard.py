"""Computes one shard of an index. It stops and resumes as the pass of a whole index does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...corpus import Corpus, Split
from ...errors import UsageError
from ...files import locked, writing
from ...files.sealed_json import read_sealed, write_sealed
from ...subject.subject import Subject
from ..activation_store.folder import StoreChoice, plan_stores
from ..activation_store.plan import StoreBits
from ..batch_plan import BatchPlan
from ..build import ExemplarCounts, IndexBuilder, plan_index
from ..index import IndexSummary
from ..pass_progress import Progress
from ..settings import claim_folder
from ..split_pass import SplitPass
from .shard import WHOLE, Shard
from .shard_folder import (
    DESCRIPTION,
    ENVIRONMENTS,
    FORMAT,
    ShardFolder,
    finish_shard,
    place_shard,
    unfinished,
)
from .shard_pass import ShardPass


def index_shard(
    subject: Subject,
    corpus: Corpus,
    out: Path | str,
    shard: Shard,
    *,
    sites: Sequence[str] = ("mlp", "head"),
    layers: Sequence[int] | None = None,
    max_tokens: int | None = None,
    context_len: int = 64,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    exemplar_counts: ExemplarCounts | None = None,
    checkpoint_every: int | None = None,
    store: StoreChoice = "none",
    store_bits: StoreBits | None = None,
    warn: Callable[[str], None] = lambda line: None,
    say: Callable[[str], None] = lambda line: None,
) -> IndexSummary:
    """Compute one shard into the folder `out`, which appears when it is complete.

    Until then it is in `OUT.unfinished`, from which the same call goes on after a kill. A finished
    shard is left as it is. Arguments are those of `build_index`.

    Raises:
        UsageError: unknown sites or layers, an unusable corpus, or `out` holds something else.
        UnavailableError: the disk is full or cannot be written to.
    """
    out = Path(out)
    counts = exemplar_counts or ExemplarCounts()
    plan = plan_index(subject, corpus, sites, layers, max_tokens, context_len, seed, counts, warn)
    settings = plan.settings
    dtype = str(subject.dtype).removeprefix("torch.")
    work = unfinished(out)
    with writing(out), locked(out):
        if (work / DESCRIPTION).exists() and not out.exists():
            place_shard(work, out)
        if out.exists() and any(out.iterdir()):
            return _finished(out, settings, shard, dtype)
        claim_folder(
            work, settings | {"shard": [shard.number, shard.count, FORMAT], "dtype": dtype}
        )
        _add_environment(work, subject)
        builder = _ShardBuilder(subject, plan, work, seed, counts, progress, checkpoint_every)
        builder.shard, builder.finished, builder.dtype = shard, out, dtype
        asked = store, store_bits, plan.layers, settings
        builder.stores = plan_stores(subject, plan.contexts, work, *asked, say, warn, shard)
        return builder.build()


def _finished(out: Path, settings: dict[str, Any], shard: Shard, dtype: str) -> IndexSummary:
    """The summary of a finished shard; raises UsageError if it is another, or something else."""
    if not (out / DESCRIPTION).exists():
        raise UsageError(f"{out} holds other files; give a new folder for the shard")
    present = ShardFolder.open(out)
    expected = {**settings, "shard": shard, "dtype": dtype}
    found = {**present.settings, "shard": present.shard, "dtype": present.dtype}
    if found != expected:
        names = (name for name in {**expected, **found} if expected.get(name) != found.get(name))
        raise UsageError(
            f"{out} holds a shard of another {', '.join(names)}; give another --out, or delete it"
        )
    return present.summary


@dataclass
class _ShardBuilder(IndexBuilder):
    """Builds a shard; `out` is its unfinished folder, `finished` where it goes."""

    shard: Shard = WHOLE
    finished: Path = Path()
    dtype: str = ""

    def batch_plan(self, split: Split, number: int) -> BatchPlan:
        """The shard's part of a split."""
        return super().batch_plan(split, number).of(self.shard)

    @property
    def pass_type(self) -> type[SplitPass]:
        """What reads a split."""
        return ShardPass

    def close(self) -> IndexSummary:
        """Write what is not of one split, and put the shard in its place."""
        self.add_stores(self.shard)
        if self.shard.number == 1:
            self.write_names()
        content = {
            "settings": self.plan.settings,
            "dtype": self.dtype,
            "tokens": self.plan.contexts.n_tokens,
            "units": self.n_units,
            "n_contexts": self.n_contexts,
        }
        return finish_shard(
            self.out, self.finished, self.shard, content, self.clock, tokens=self.total
        )


def _add_environment(work: Path, subject: Subject) -> None:
    """Note what goes on with the shard, if it is another kind of machine than before."""
    environment: dict[str, Any] = {
        "device": subject.device.type,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    if subject.device.type == "cuda":
        environment["device"] = torch.cuda.get_device_name(subject.device)
    path, known = work / "work" / ENVIRONMENTS, list[Any]()
    with suppress(FileNotFoundError):
        known = read_sealed(path)["environments"]
    if environment not in known:
        write_sealed(path, {"environments": [*known, environment]})
