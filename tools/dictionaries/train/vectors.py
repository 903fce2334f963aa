"""A subject's vectors in shuffled order and bounded memory.

1. An epoch reads every context once, in an order that follows from the seed and the epoch's number.
2. It is cut into chunks of as many contexts as fit the memory. As the order is random, each chunk is
   a random sample of the whole text; its vectors are shuffled once more.
3. Position 0 of a context is left out, as everywhere, and so are vectors that are longer than ten
   times the median: on few tokens, mostly the first ones of a text, a model parks attention by
   vectors a hundred times as long as others, and nearly all variance would be theirs.
4. Text that fits one chunk is read once and only shuffled again in each epoch.

Everything follows from seed and numbers, so that a resumed training has no generator to restore: it
reads its chunk again. Vectors come from an index's activation store or from a pass (`read`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...errors import UsageError
from ...index.activation_store.source import (
    ContextBatch,
    Requests,
    SourceRequests,
    SubjectSource,
    explore_sources,
)
from ...index.batch_plan import BATCH
from ...index.index import Index
from ...subject.address import PlaceKind, Site
from ...subject.mlp_input import mlp_write
from ...subject.subject import Subject
from .settings import TrainSettings

CHUNK_BYTES = 1 << 28
"""Of vectors in memory: 116,000 tokens of 576 numbers."""
LONG = 10.0
"""Times the median length, beyond which a vector is left out. On the default subject's stream after
layer 12 the longest of the others has 1.6 times the median, and those left out 150 times."""


class VectorPair(NamedTuple):
    """Vectors that a dictionary reads, and those that it should write; None if they are the same."""

    inputs: Tensor  # row d_in
    targets: Tensor | None  # row d_out

    def take(self, rows: Tensor) -> VectorPair:
        """Some rows."""
        return VectorPair(self.inputs[rows], None if self.targets is None else self.targets[rows])

    @property
    def written(self) -> Tensor:
        """The vectors to reconstruct."""
        return self.inputs if self.targets is None else self.targets


class Text(NamedTuple):
    """Contexts of one split: token ids and lengths."""

    tokens: Int[np.ndarray, "context seq"]
    length: Int[np.ndarray, " context"]


class Chunk(NamedTuple):
    """Vectors in memory, and the shuffled rows of those that are not left out."""

    pair: VectorPair
    rows: Int[Tensor, " row"]

    @property
    def left_out(self) -> float:
        """The share of vectors that are left out."""
        return 1 - len(self.rows) / len(self.pair.inputs)

    def shuffled(self, start: int = 0, stop: int | None = None) -> VectorPair:
        """Some of the rows, in their order."""
        return self.pair.take(self.rows[start:stop])


@dataclass
class Vectors:
    """The vectors of a training.

    Attributes:
        sources: where the needed sites come from.
        limits: lengths of inputs and targets beyond which a vector is left out.
    """

    subject: Subject
    settings: TrainSettings
    text: Text
    sources: Sequence[SourceRequests]
    chunk_bytes: int = CHUNK_BYTES
    limits: tuple[float, float] = (np.inf, np.inf)
    _kept: tuple[bytes, VectorPair] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not (self.text.length > 1).any():
            raise UsageError(
                "the text to train on has no context of two tokens or more; give a longer corpus"
            )

    def chunk(self, epoch: int, number: int) -> Chunk | None:
        """A chunk of vectors; None after the epoch's last."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        order = rng.permutation(np.flatnonzero(self.text.length > 1))
        tokens_before = np.cumsum(self.text.length[order].astype(np.int64) - 1)
        chunk_of = (tokens_before - 1) // self._tokens_a_chunk
        contexts = np.sort(order[chunk_of == number])
        if not len(contexts):
            return None
        pair = self._read_kept(contexts)
        shuffle = np.random.default_rng([self.settings.seed, epoch, number])
        rows = torch.from_numpy(shuffle.permutation(len(pair.inputs)))
        return Chunk(pair, rows[self.is_short(pair).cpu()[rows]])

    def is_short(self, pair: VectorPair) -> Bool[Tensor, " *rows"]:
        """Which vectors are within the limits."""
        short = pair.inputs.norm(dim=-1) <= self.limits[0]
        return short & (pair.written.norm(dim=-1) <= self.limits[1])

    def set_limits(self, pair: VectorPair) -> None:
        """Leave out vectors that are far longer than these ones' median, from now on."""
        inputs, targets = (LONG * float(v.norm(dim=1).median()) for v in (pair[0], pair.written))
        self.limits = (inputs, targets)

    @property
    def _tokens_a_chunk(self) -> int:
        widths = self.subject.d_model * (2 if self.settings.is_transcoder else 1)
        return max(self.chunk_bytes // (4 * widths), 1)

    def _read_kept(self, contexts: Int[np.ndarray, " context"]) -> VectorPair:
        """The contexts' vectors, from memory where the last chunk had the same."""
        key = contexts.tobytes()
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # frees it before the next is read
            parts = [
                self.read(contexts[start : start + BATCH])
                for start in range(0, len(contexts), BATCH)
            ]
            self._kept = key, join(parts)
        return self._kept[1]

    def read(self, contexts: Int[np.ndarray, " context"]) -> VectorPair:
        """The vectors of some contexts' tokens but their first, in order."""
        length = self.text.length[contexts].astype(np.int64)
        ids = torch.from_numpy(self.text.tokens[contexts, : int(length.max())].astype(np.int64))
        batch = ContextBatch(contexts, length, ids.to(self.subject.device))
        read: dict[Site, Tensor] = {}
        for source, requests in self.sources:
            source.read(batch, requests, read.__setitem__)
        position = torch.arange(ids.shape[1])
        real = (position > 0) & (position < torch.from_numpy(length)[:, None])
        rows = {site: values[real.to(values.device)].float() for site, values in read.items()}
        inputs = values_at(self.subject, self.settings.reads, rows)
        is_transcoder = self.settings.is_transcoder
        return VectorPair(
            inputs, values_at(self.subject, self.settings.writes, rows) if is_transcoder else None
        )


def join(pairs: Sequence[VectorPair]) -> VectorPair:
    """The rows of all, one after the other."""
    targets = [pair.targets for pair in pairs if pair.targets is not None]
    return VectorPair(torch.cat([p.inputs for p in pairs]), torch.cat(targets) if targets else None)


def site_below(place: Site) -> Site:
    """The site from which a place's vectors are computed."""
    kinds: dict[str, PlaceKind] = {"mlp_out": "mlp_in", "stream": "stream", "mid": "mid"}
    return Site(kinds.get(place.kind, "mlp_in"), place.layer)


def values_at(subject: Subject, place: Site, read: dict[Site, Tensor]) -> Tensor:
    """A place's vectors from what was read at the sites below."""
    values = read[site_below(place)]
    if place.kind == "mlp_out":
        return mlp_write(subject.architecture, subject.parts.layers[place.layer], values)
    return values


def requests_of(settings: TrainSettings) -> Requests:
    """The sites that a training reads."""
    return {site_below(place): None for place in (settings.reads, settings.writes)}


def vectors_of_index(subject: Subject, settings: TrainSettings, index: Index) -> Vectors:
    """The vectors of an index's explore split, from its store where it has them."""
    subject.require_revision(index.subject_revision, f"the index {str(index.path)!r}")
    contexts = index.contexts("explore")
    sources = explore_sources(subject, index, requests_of(settings))
    return Vectors(subject, settings, Text(contexts.tokens, contexts.length), sources)


def vectors_of_text(subject: Subject, settings: TrainSettings, text: Text) -> Vectors:
    """The vectors of a text, from passes of the subject."""
    requests = requests_of(settings)
    return Vectors(subject, settings, text, [SourceRequests(SubjectSource(subject), requests)])
