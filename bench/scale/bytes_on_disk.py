"""Bytes that are known without a fit, held against the files.

activations of a run    2 for each target and place of a context, and 4 for the place's token
activation store        for each token and layer 2 for each dimension and head, and 4 for its norm;
                        8 for its loss
sums of a shard         16 for each unit and batch
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...agent.runlog.layout import COLLECTED
from ...tools.corpus import Corpus
from ...tools.index import Index
from ...tools.index.activation_store.layout import STORE
from ...tools.index.batch_plan import BATCH
from ...tools.index.shards.build_shard import index_shard
from ...tools.index.shards.shard import Shard
from ...tools.index.shards.shard_folder import ShardFolder
from ...tools.subject.subject import Subject
from .sizes import SubjectSize


class BytesOnDisk(NamedTuple):
    """Files of one kind."""

    what: str
    size: str
    predicted: int
    measured: int

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.measured - 1


def activation_bytes(places: int, targets: int) -> int:
    """Of a run whose contexts have so many places together."""
    return places * (2 * targets + 4)


def store_bytes(size: SubjectSize, tokens: int) -> int:
    """Of an activation store in 16 bits, of a llama."""
    return tokens * (size.layers * (2 * size.width + 2 * size.heads + 4) + 8)


def sums_bytes(size: SubjectSize, batches: int) -> int:
    """Of the sums of all shards together."""
    return 16 * size.units * batches


def check_run(size: SubjectSize, index: Path, run: Path, targets: int) -> BytesOnDisk:
    """The activations of a run that read all of a small index."""
    opened = Index.open(index)
    places = sum(opened.n_contexts.values()) * opened.context_len
    measured = _bytes_of((run / COLLECTED).iterdir())
    return BytesOnDisk("activations", size.name, activation_bytes(places, targets), measured)


def check_shard(
    size: SubjectSize, subject: Subject, corpus: Corpus, max_tokens: int, folder: Path
) -> list[BytesOnDisk]:
    """The store and the sums of an index in one shard, computed into a new folder."""
    whole = Shard(1, 1)
    summary = index_shard(subject, corpus, folder, whole, max_tokens=max_tokens, store="all")
    contexts = ShardFolder.open(folder).n_contexts
    batches = sum(-(-n // BATCH) for n in contexts.values())
    stored, sums = (folder / STORE).rglob("*.bin"), folder.rglob("sums-*")
    return [
        BytesOnDisk("store", size.name, store_bytes(size, summary.tokens), _bytes_of(stored)),
        BytesOnDisk("sums", size.name, sums_bytes(size, batches), _bytes_of(sums)),
    ]


def _bytes_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
