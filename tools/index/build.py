"""Builds an index in one pass of a subject over a corpus, for all units of the chosen sites.

    index.json            what was indexed, how, how long it took, and the hashes of all files;
                          written last
    vocabulary.parquet    token ids and their strings
    store/                the activation store, if there is one: see `activation_store`
    explore/ select/ holdout/     see `store`
    work/                 only while the index is being built

After a kill at any moment, the same call resumes: finished splits are complete, the one in progress
has checkpoints. Memory does not grow with the corpus.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ..corpus import SPLITS, Contexts, Corpus, Split, make_contexts
from ..errors import UsageError
from ..files import atomic_file, locked, writing
from ..files.sealed_json import write_sealed
from ..subject.address import NO_LAYER, Shape, Site, SiteKind
from ..subject.subject import Subject
from .activation_store.folder import StoreChoice, StoreFolder, plan_stores
from .activation_store.plan import StoreBits
from .batch_plan import BatchPlan, make_plan
from .corpus_size import small_corpus_warning
from .description import complete_index, read_work_file
from .index import IndexSummary
from .index_directions import save_directions
from .index_files import VOCABULARY
from .latent_totals import LatentTotals
from .pass_clock import PassClock
from .pass_progress import Progress
from .settings import claim_folder, index_settings
from .shards.shard import WHOLE, Shard
from .split_pass import SplitPass
from .store_pass import StorePass
from .thread_team import ThreadTeam


@dataclass(frozen=True)
class ExemplarCounts:
    """How much is kept of each unit, in explore, select and holdout.

    At 1,536 neurons and contexts of 64 the default takes 14 MB.
    """

    top: tuple[int, int, int] = (10, 4, 4)
    """Best contexts of each side."""
    pool: tuple[int, int, int] = (16, 4, 4)
    """Random contexts, the same for all units."""
    sample: tuple[int, int, int] = (2048, 256, 256)
    """Tokens for quantiles. Of 2,048, the estimated q99 is a true quantile of 98.8 to 99.2 %."""


def build_index(
    subject: Subject,
    corpus: Corpus,
    out: Path | str,
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
    """Build or finish an index in the folder `out`; a finished one is left as it is.

    Its activation store is written by the same pass. Where one is asked for and the index has none,
    because it is finished or an earlier start made none, a separate pass adds it.

    Args:
        layers: index these layers only; the forward pass stops at the deepest.
        max_tokens: index a prefix of the corpus.
        seed: of the random exemplars and of the sample for quantiles.
        progress: called after each batch.
        checkpoint_every: batches between two checkpoints; by default they take half a percent of
            the time.
        store: what of the activation store is written on the way: "all", "none", some layers, or
            "auto": all layers if the store fits `DISK_SHARE` of the free disk.
        store_bits: of each number of an MLP's input; None for 16, or with "auto" for 8 where the
            store would fit in no other way. A layer with too large an error in 8 gets 16.
        warn: called with a line about a corpus that is too small, before the pass, and about what
            the store leaves out.
        say: called with a line about the size of the store, before the pass.

    Raises:
        UsageError: unknown sites or layers, an unusable corpus, or `out` holds something else.
        UnavailableError: the disk is full or cannot be written to.
    """
    out = Path(out)
    counts = exemplar_counts or ExemplarCounts()
    plan = plan_index(subject, corpus, sites, layers, max_tokens, context_len, seed, counts, warn)
    with writing(out), locked(out):
        summary = claim_folder(out, plan.settings)
        builder = IndexBuilder(subject, plan, out, seed, counts, progress, checkpoint_every)
        asked = store, store_bits, plan.layers, plan.settings
        builder.stores = plan_stores(subject, plan.contexts, out, *asked, say, warn)
        summary = summary or builder.build()
        builder.add_stores()
        return summary


class IndexPlan(NamedTuple):
    """What an index, or a shard of it, is of.

    Attributes:
        layers: that its pass reads.
        settings: all that determines its content.
    """

    sites: list[Site]
    contexts: Contexts
    layers: list[int]
    settings: dict[str, Any]


def plan_index(
    subject: Subject,
    corpus: Corpus,
    sites: Sequence[str],
    layers: Sequence[int] | None,
    max_tokens: int | None,
    context_len: int,
    seed: int,
    counts: ExemplarCounts,
    warn: Callable[[str], None],
) -> IndexPlan:
    """Choose the sites and cut the text; arguments and errors are those of `build_index`."""
    subject.require_decoder("an index and explanations of units")
    chosen = choose_sites(subject.shape, sites, layers)
    contexts = _cut_contexts(subject, corpus, context_len, max_tokens, warn)
    settings = index_settings(subject, corpus, contexts, chosen, seed, asdict(counts))
    read = sorted({subject.shape.raw(site).layer for site in chosen} - {NO_LAYER})
    return IndexPlan(chosen, contexts, read, settings)


def _cut_contexts(
    subject: Subject,
    corpus: Corpus,
    context_len: int,
    max_tokens: int | None,
    warn: Callable[[str], None],
) -> Contexts:
    """The corpus's contexts; says if they are few.

    Raises:
        UsageError: the subject cannot read contexts of that length, or an unusable corpus.
    """
    if context_len > subject.context_length:
        raise UsageError(
            f"context length {context_len} given; "
            f"{subject.name} reads at most {subject.context_length} tokens"
        )
    contexts = make_contexts(
        corpus.documents, lambda text: subject.tokenize(text).ids, context_len, max_tokens
    )
    if warning := small_corpus_warning(contexts):
        warn(warning)
    return contexts


def choose_sites(shape: Shape, kinds: Sequence[str], layers: Sequence[int] | None) -> list[Site]:
    """The sites of some kinds, in the order of the forward pass.

    Raises:
        UsageError: an unknown kind or layer, or no site at all.
    """
    order: tuple[SiteKind, ...] = ("head", "mlp", "resid")
    for kind in kinds:
        if kind not in (*order, "sae"):
            raise UsageError(f"site {kind!r} given; choose from mlp, head, resid, sae")
    chosen_layers = range(shape.n_layers) if layers is None else sorted(set(layers))
    for layer in chosen_layers:
        if not 0 <= layer < shape.n_layers:
            raise UsageError(
                f"layer {layer} given; the subject has layers 0 to {shape.n_layers - 1}"
            )
    sites = [Site(kind, layer) for layer in chosen_layers for kind in order if kind in kinds]
    sites = [site for site in sites if shape.count(site)]
    if "sae" in kinds:
        sites += [Site.of_dictionary(name) for name in shape.dictionaries]
    if not sites:
        raise UsageError(
            "no units to index; `resid` needs named directions (--directions), and `sae` "
            "dictionaries (--dictionary)"
            if kinds
            else "no sites given"
        )
    return sites


@dataclass
class IndexBuilder:
    """Builds an index, split by split.

    Attributes:
        counts: how much is kept of each unit.
        stores: where the activation store is written; None for no store.
        done: tokens so far; `total`: of all splits.
    """

    subject: Subject
    plan: IndexPlan
    out: Path
    seed: int
    counts: ExemplarCounts
    progress: Callable[[Progress], None] | None
    checkpoint_every: int | None
    stores: StoreFolder | None = None
    done: int = 0
    total: int = 0

    def build(self) -> IndexSummary:
        """Do what is left to do."""
        name = "clock.json"
        begun = (self.out / "work" / name).exists()
        self.clock = PassClock(**read_work_file(self.out, name)) if begun else PassClock()
        size = torch.get_num_threads() if self.subject.device.type == "cpu" else 1
        plans = {split: self.batch_plan(split, number) for number, split in enumerate(SPLITS)}
        self.total = sum(plan.n_tokens for plan in plans.values())
        with ThreadTeam(size) as team:
            for number, split in enumerate(SPLITS):
                self._build_split(split, plans[split], self.counts.top[number], team)
        return self.close()

    def batch_plan(self, split: Split, number: int) -> BatchPlan:
        """What is read of a split."""
        pool, sample = self.counts.pool[number], self.counts.sample[number]
        return make_plan(self.plan.contexts, split, pool=pool, sample=sample, seed=self.seed)

    def _build_split(self, split: Split, plan: BatchPlan, k: int, team: ThreadTeam) -> None:
        if split == "explore" and not len(plan.order):
            n = len(self.plan.contexts.documents)
            raise UsageError(
                f"none of the corpus's {n} documents falls to explore; give more documents"
            )
        if (self.out / split).exists():
            self._report(plan.n_tokens)
            return
        work = self.out / "work"
        dictionaries = [
            self.subject.dictionaries[site.name] for site in self.plan.sites if site.kind == "sae"
        ]
        split_pass = self.pass_type(
            self.subject,
            [site for site in self.plan.sites if site.kind != "sae"],
            plan,
            k=k,
            folder=work / split,
            manifest=work / f"{split}-files.json",
            clock=self.clock,
            team=team,
            report=self._report,
            checkpoint_every=self.checkpoint_every,
            recorder=self.stores.recorder(split) if self.stores else None,
            latents=[LatentTotals(of, plan, k, work / split) for of in dictionaries],
        )
        split_pass.run(self.out / split)
        # Contexts of one token are in no batch, but count as done.
        self._report(plan.n_tokens - plan.tokens_before(plan.n_turns))
        write_sealed(work / "clock.json", self.clock.to_json())
        shutil.rmtree(work / split)

    @property
    def pass_type(self) -> type[SplitPass]:
        """What reads a split."""
        return SplitPass

    def add_stores(self, shard: Shard = WHOLE) -> None:
        """Write the activation stores that the pass of the index did not, in a separate pass."""

        def report(done: int, total: int) -> None:
            if self.progress:
                self.progress(Progress(done, total, None, step="activation store"))

        if self.stores:
            StorePass(
                self.subject, self.plan.contexts, self.stores, report, self.checkpoint_every, shard
            ).run()

    def _report(self, tokens: int) -> None:
        self.done += tokens
        if self.progress:
            self.progress(Progress(self.done, self.total, self.clock.forward_share))

    def close(self) -> IndexSummary:
        """Write what is not of one split, and the description."""
        self.write_names()
        return complete_index(
            self.out,
            self.plan.settings,
            self.n_contexts,
            tokens=self.plan.contexts.n_tokens,
            units=self.n_units,
            clock=self.clock,
        )

    def write_names(self) -> None:
        """Write the vocabulary and the vectors of named directions."""
        with self.clock.working():
            strings = self.subject.token_strings()
            tokens = pa.array(range(len(strings)), pa.int32())
            table = pa.table({"token": tokens, "string": pa.array(strings)})
            with atomic_file(self.out / VOCABULARY) as part:
                pq.write_table(table, part, compression="lz4")
            save_directions(self.subject, self.plan.sites, self.out)

    @property
    def n_contexts(self) -> dict[Split, int]:
        """Contexts of each split."""
        return {split: len(self.plan.contexts.rows_of(split)) for split in SPLITS}

    @property
    def n_units(self) -> int:
        """Units of all sites."""
        return sum(self.subject.shape.count(site) for site in self.plan.sites)
