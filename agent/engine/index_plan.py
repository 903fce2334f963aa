"""What is decided once for an index that workers compute in shards.

Nodes may have unlike disks, and each shard would decide for itself. So one worker decides, before the
first shard, with the subject that it needs for the shards anyway:

1. It checks that the dictionaries fit the subject.
2. It cuts the text as every shard does, so that this process learns the settings of the index and can
   refuse a folder that holds something else before anything is computed.
3. It chooses the layers and bits of the activation store.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...tools.errors import UsageError
from ...tools.files.atomic import scratch_folder
from .worker import SubjectChoice, Worker

if TYPE_CHECKING:
    from ...tools.corpus import Corpus
    from ...tools.index.activation_store.folder import StoreChoice
    from ...tools.index.build import IndexPlan
    from ...tools.subject import Subject

FORMAT = 2
"""Of a shard that a piece makes. It is part of the key, so that another version's is not taken."""


@dataclass(frozen=True)
class IndexOrder:
    """What is indexed, as `build_index` takes it.

    Attributes:
        corpus: its name, as each worker reads it.
        corpus_sha256: what must be in it.
    """

    subject: SubjectChoice
    corpus: str
    corpus_sha256: str
    sites: tuple[str, ...]
    layers: tuple[int, ...] | None
    max_tokens: int | None
    context_len: int
    seed: int
    store: StoreChoice | tuple[int, ...]
    store_bits: Any = None

    @property
    def key(self) -> str:
        """Hash of all of it."""
        content = asdict(self) | {"format": FORMAT}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def read_corpus(self, worker: Worker) -> Corpus:
        """The text, as a worker keeps it.

        Raises:
            UsageError: the text here is another.
        """
        return worker.keep(f"corpus {self.corpus} {self.corpus_sha256}", self._read_corpus)

    def _read_corpus(self) -> Corpus:
        from ...tools.corpus import read_corpus

        corpus = read_corpus(self.corpus)
        if corpus.sha256 != self.corpus_sha256:
            raise UsageError(
                f"the corpus {self.corpus} is another text on a worker than where the command was "
                "given: put it into a folder that all nodes see"
            )
        return corpus


class IndexDecision(NamedTuple):
    """What holds for all shards.

    Attributes:
        settings: of the index, as `index.json` has them.
        store: of every shard, with `store_bits`; never "auto".
        said, warned: lines for the user.
    """

    settings: dict[str, Any]
    store: StoreChoice | tuple[int, ...]
    store_bits: Any
    said: list[str]
    warned: list[str]


@dataclass(frozen=True)
class DecideIndex:
    """The call that decides.

    Attributes:
        folder: where the shards will be.
        check: whether dictionaries are checked.
    """

    order: IndexOrder
    folder: Path
    check: bool

    def run(self, worker: Worker) -> IndexDecision:
        """Decide.

        Raises:
            UsageError: a dictionary does not fit, the text or the options cannot be used, or the store
                takes more than the free disk.
        """
        from ...tools.dictionaries.attach import check_dictionaries
        from ...tools.dictionaries.named_source import NamedSource
        from ...tools.index.build import ExemplarCounts, plan_index

        order = self.order
        said, warned = list[str](), list[str]()
        subject, corpus = worker.subject(order.subject), order.read_corpus(worker)
        if self.check:
            dictionaries = [NamedSource.parse(text) for text in order.subject.dictionaries]
            check_dictionaries(subject, dictionaries, corpus.documents)
        plan = plan_index(
            subject,
            corpus,
            order.sites,
            order.layers,
            order.max_tokens,
            order.context_len,
            order.seed,
            ExemplarCounts(),
            warned.append,
        )
        store, bits = self._store(subject, plan, said, warned)
        return IndexDecision(plan.settings, store, bits, said, warned)

    def _store(
        self, subject: Subject, plan: IndexPlan, said: list[str], warned: list[str]
    ) -> tuple[StoreChoice | tuple[int, ...], Any]:
        """The store and its bits, as the pass of one process would choose them on this disk."""
        from ...tools.index.activation_store.folder import plan_stores

        order = self.order
        with scratch_folder(self.folder / "store") as folder:
            stores = plan_stores(
                subject,
                plan.contexts,
                folder,
                store_choice(order),
                order.store_bits,
                plan.layers,
                plan.settings,
                said.append,
                warned.append,
            )
        if order.store != "auto":
            return order.store, order.store_bits
        if stores is None or stores.failed:
            return "none", order.store_bits
        return "all", stores.plan.bits


def store_choice(order: IndexOrder) -> StoreChoice:
    """The store that is asked for, as `build_index` takes it."""
    return list(order.store) if isinstance(order.store, tuple) else order.store
