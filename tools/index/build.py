"""Building an index: one pass of a subject over a corpus, for all units of the chosen sites,
whatever its size.

    index.json            what was indexed, how, and how long it took; written last
    vocabulary.parquet    token ids and their strings
    explore/ select/ holdout/     see `store`
    work/                 only while it is being built

Killed at any moment, the same call goes on: finished splits are there whole, the one in progress
has checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ... import __version__
from ..corpus import SALT, SHARES, SPLITS, Contexts, Corpus, Split, make_contexts
from ..errors import CorruptError, UsageError
from ..files import atomic_file, locked, writing
from ..subject.address import Shape, Site
from ..subject.subject import Subject
from .batch_plan import make_plan
from .index import FORMAT, IndexSummary
from .pass_clock import PassClock
from .split_pass import SplitPass
from .thread_team import ThreadTeam


@dataclass(frozen=True)
class ExemplarCounts:
    """What is kept of each unit; at 1,536 neurons and contexts of 64 the default takes 14 MB."""

    top: tuple[int, int, int] = (10, 4, 4)
    """Best contexts of each side, in explore, select, holdout."""
    pool: tuple[int, int, int] = (16, 4, 4)
    """Random contexts, the same for all units."""
    sample: tuple[int, int, int] = (2048, 256, 256)
    """Tokens from which quantiles are estimated; of 2,048, the 99th percentile is one of 98.8 to 99.2 %."""


@dataclass(frozen=True)
class Progress:
    """How far the pass is; `forward_share` is the model's own part of the time, once known."""

    done: int
    total: int
    forward_share: float | None
    step: str = "index"
    unit: str = "tokens"

    @property
    def note(self) -> str:
        """For a progress line."""
        return (
            ""
            if self.forward_share is None
            else f"forward pass {min(self.forward_share, 1):.0%} of the time"
        )


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
    budget: ExemplarCounts | None = None,
    checkpoint_every: int | None = None,
) -> IndexSummary:
    """Build or finish an index in the folder `out`; one that is there already is left as it is.

    Args:
        layers: of these layers only; the forward pass stops at the deepest.
        max_tokens: a prefix of the corpus.
        seed: of the random exemplars and of the sample for quantiles.
        progress: called after each batch.
        checkpoint_every: batches between two checkpoints; by default one when half a percent of the time pays for it.

    Raises:
        UsageError: unknown sites or layers, an unusable corpus, or `out` holds something else.
        UnavailableError: the disk is full or not to be written to.
    """
    out = Path(out)
    chosen = choose_sites(subject.shape, sites, layers)
    _check_length(subject, context_len)
    contexts = make_contexts(
        corpus.documents, lambda text: subject.tokenize(text).ids, context_len, max_tokens
    )
    budget = budget or ExemplarCounts()
    settings = _settings(subject, corpus, contexts, chosen, seed, budget)
    with writing(out), locked(out):
        if summary := _claim(out, settings):
            return summary
        builder = _IndexBuilder(
            subject, chosen, contexts, out, settings, seed, budget, progress, checkpoint_every
        )
        return builder.build()


def choose_sites(shape: Shape, kinds: Sequence[str], layers: Sequence[int] | None) -> list[Site]:
    """The sites of some kinds, in the order in which the forward pass comes by.

    Raises:
        UsageError: a kind or a layer that there is not, or no site at all.
    """
    for kind in kinds:
        if kind not in ("mlp", "head", "resid"):
            hint = "sae sites are not yet supported; " if kind.startswith("sae") else ""
            raise UsageError(f"site {kind!r} given; {hint}choose from mlp, head, resid")
    wanted = range(shape.n_layers) if layers is None else sorted(set(layers))
    for layer in wanted:
        if not 0 <= layer < shape.n_layers:
            raise UsageError(
                f"layer {layer} given; the subject has layers 0 to {shape.n_layers - 1}"
            )
    order = [kind for kind in ("head", "mlp", "resid") if kind in kinds]
    found = [site for layer in wanted for kind in order if shape.count(site := Site(kind, layer))]  # pyright: ignore[reportArgumentType]
    if not found:
        raise UsageError(
            "no units to index; `resid` needs named directions (--directions)"
            if kinds
            else "no sites given"
        )
    return found


def _check_length(subject: Subject, context_len: int) -> None:
    if context_len > subject.context_length:
        raise UsageError(
            f"context length {context_len} given; {subject.name} reads at most {subject.context_length} tokens"
        )


def _settings(
    subject: Subject,
    corpus: Corpus,
    contexts: Contexts,
    sites: Sequence[Site],
    seed: int,
    budget: ExemplarCounts,
) -> dict[str, Any]:
    """All that decides what an index holds."""
    shape = subject.shape
    return {
        "format": FORMAT,
        "subject": {"name": subject.name, "title": subject.title, "revision": subject.revision},
        "corpus": {"name": corpus.name, "title": corpus.title, "sha256": corpus.sha256},
        "split": {"salt": SALT, "shares": list(SHARES)},
        "context_len": int(contexts.tokens.shape[1]),
        "contexts": _fingerprint(contexts),
        "seed": seed,
        "budget": json.loads(json.dumps(asdict(budget))),
        "sites": [list(site) for site in sites],
        "shape": {
            "n_layers": shape.n_layers,
            "n_neurons": shape.n_neurons,
            "n_heads": shape.n_heads,
            "directions": {str(layer): list(names) for layer, names in shape.directions.items()},
        },
    }


def _fingerprint(contexts: Contexts) -> str:
    digest = hashlib.sha256()
    for array in (contexts.tokens, contexts.length, contexts.document, contexts.split):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _claim(out: Path, settings: dict[str, Any]) -> IndexSummary | None:
    """Make the folder ours, or see that it is done; raises UsageError when it holds something else."""
    done, begun = out / "index.json", out / "work" / "settings.json"
    for path in (done, begun):
        if not path.exists():
            continue
        try:
            found = json.loads(path.read_text())
            theirs = {key: found[key] for key in settings}
        except (ValueError, KeyError) as error:
            raise CorruptError(
                f"{path} is damaged; delete {out} and build the index again"
            ) from error
        if theirs != json.loads(json.dumps(settings)):
            differing = ", ".join(key for key in settings if theirs[key] != settings[key])
            raise UsageError(
                f"{out} holds an index of another {differing}; give another --out, or delete it"
            )
        return IndexSummary(**found["summary"]) if path == done else None
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds other files; give a new folder for the index")
    begun.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(begun) as part:
        part.write_text(json.dumps(settings))
    return None


@dataclass
class _IndexBuilder:
    subject: Subject
    sites: Sequence[Site]
    contexts: Contexts
    out: Path
    settings: dict[str, Any]
    seed: int
    budget: ExemplarCounts
    progress: Callable[[Progress], None] | None
    checkpoint_every: int | None
    done: int = 0

    def build(self) -> IndexSummary:
        self.clock = self._clock_so_far()
        size = torch.get_num_threads() if self.subject.device.type == "cpu" else 1
        with ThreadTeam(size) as team:
            for number, split in enumerate(SPLITS):
                self._scan(split, number, team)
        return self._close()

    def _scan(self, split: Split, number: int, team: ThreadTeam) -> None:
        plan = make_plan(
            self.contexts,
            split,
            pool=self.budget.pool[number],
            sample=self.budget.sample[number],
            seed=self.seed,
        )
        if split == "explore" and not len(plan.order):
            n = len(self.contexts.documents)
            raise UsageError(
                f"none of the corpus's {n} documents falls to explore; give more documents"
            )
        if (self.out / split).exists():
            self._report(plan.n_tokens)
            return
        SplitPass(
            self.subject, self.sites, plan, self.budget.top[number], self.out / "work" / split, self.clock, team,
            self._report, self.checkpoint_every,
        ).run(self.out / split)  # fmt: skip
        self._report(plan.n_tokens - sum(batch.n_tokens for batch in plan.batches()))
        with atomic_file(self.out / "work" / "clock.json") as part:
            part.write_text(json.dumps(self.clock.to_json()))
        shutil.rmtree(self.out / "work" / split)

    def _report(self, tokens: int) -> None:
        self.done += tokens
        if self.progress:
            self.progress(Progress(self.done, self.contexts.n_tokens, self.clock.forward_share))

    def _clock_so_far(self) -> PassClock:
        path = self.out / "work" / "clock.json"
        return PassClock(**json.loads(path.read_text())) if path.exists() else PassClock()

    def _close(self) -> IndexSummary:
        with self.clock.working():
            strings = self.subject.token_strings()
            table = pa.table(
                {"token": pa.array(range(len(strings)), pa.int32()), "string": pa.array(strings)}
            )
            with atomic_file(self.out / "vocabulary.parquet") as part:
                pq.write_table(table, part, compression="lz4")
        summary = IndexSummary(
            tokens=self.contexts.n_tokens,
            units=sum(self.subject.shape.count(site) for site in self.sites),
            forward_seconds=self.clock.forward_seconds,
            total_seconds=self.clock.total_seconds,
            peak_rss_mb=peak_rss_mb(),
            bytes=sum(
                p.stat().st_size
                for p in self.out.rglob("*")
                if p.is_file() and "work" not in p.parts
            ),
        )
        counts = {
            split: int((self.contexts.split == number).sum()) for number, split in enumerate(SPLITS)
        }
        versions = {
            name: version(name) for name in ("torch", "transformers", "numpy", "pyarrow")
        } | {"hubel": __version__}
        content = self.settings | {
            "n_contexts": counts,
            "versions": versions,
            "summary": asdict(summary),
        }
        with atomic_file(self.out / "index.json") as part:
            part.write_text(json.dumps(content, indent=1))
        shutil.rmtree(self.out / "work")
        return summary


def peak_rss_mb() -> float:
    """The process's largest resident set so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
