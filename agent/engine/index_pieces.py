"""An index by the workers of an engine: one piece for each shard, merged in this process.

1. The number of shards is fixed when an index is begun, and kept in `OUT.shards/plan.json`, so that
   a later start on more or fewer workers goes on with what is there.
2. A shard is a folder in `OUT.shards`, named by its number and the hash of what it is made from. It
   appears when it is finished; a worker that takes it over goes on from the last checkpoint of the
   one that died.
3. When all are there they are merged into the index, and `OUT.shards` is deleted.

This process loads neither the subject nor torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ...tools.errors import CorruptError, UnavailableError, UsageError
from ...tools.files import writing
from ...tools.files.sealed_json import read_sealed, write_sealed
from ..runlog.progress import Reporter
from .engine import Engine
from .worker import SubjectChoice, Worker

if TYPE_CHECKING:
    from ...tools.corpus import Corpus
    from ...tools.index import IndexSummary
    from ...tools.index.activation_store.folder import StoreChoice

FORMAT = 2
"""Of a shard that a piece makes. It is part of the key, so that another version's is not taken."""
PLAN = "plan.json"


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
        return _hash(json.dumps(asdict(self) | {"format": FORMAT}, sort_keys=True, default=str))


@dataclass(frozen=True)
class ShardPiece:
    """One shard of an index."""

    order: IndexOrder
    folder: Path
    number: int
    count: int

    @property
    def key(self) -> str:
        """Hash of what the shard is made from."""
        return _hash(f"{self.order.key} {self.number}/{self.count}")

    @property
    def title(self) -> str:
        """For messages."""
        return f"shard {self.number}/{self.count}"

    @property
    def output(self) -> Path:
        """The folder of the shard."""
        return self.folder / f"{self.number}-of-{self.count}-{self.key[:12]}"

    def run(self, worker: Worker) -> None:
        """Compute the shard, or go on with it.

        Raises:
            UsageError: the text here is another.
        """
        from ...tools.index.shards.build_shard import index_shard
        from ...tools.index.shards.shard import Shard

        order = self.order
        subject = worker.subject(order.subject)
        corpus = worker.keep(f"corpus {order.corpus} {order.corpus_sha256}", self._read_corpus)
        store = list(order.store) if isinstance(order.store, tuple) else order.store
        index_shard(
            subject,
            corpus,
            self.output,
            Shard(self.number, self.count),
            sites=order.sites,
            layers=order.layers,
            max_tokens=order.max_tokens,
            context_len=order.context_len,
            seed=order.seed,
            store=store,
            store_bits=order.store_bits,
        )

    def _read_corpus(self) -> Corpus:
        from ...tools.corpus import read_corpus

        corpus = read_corpus(self.order.corpus)
        if corpus.sha256 != self.order.corpus_sha256:
            raise UsageError(
                f"the corpus {self.order.corpus} is another text on a worker than where the command "
                "was given: put it into a folder that all nodes see"
            )
        return corpus


def index_on_engine(
    engine: Engine,
    order: IndexOrder,
    out: Path,
    reporter: Reporter,
    warn: Callable[[str], None] = lambda line: None,
    shards: int = 0,
) -> IndexSummary:
    """Build or finish an index on the workers of an engine.

    Args:
        shards: in how many it is begun; 0 for as many as there are workers.

    Raises:
        UsageError: `out` holds something else.
        UnavailableError: shards failed, or another process is at this index.
    """
    from ...tools.index.shards.merge import merge_shards

    folder = shards_folder(out)
    with _alone(out), writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        count = _count_of(folder, order, shards or engine.workers)
        pieces = [ShardPiece(order, folder, number, count) for number in range(1, count + 1)]
        failures: list[str] = []
        for done, outcome in enumerate(engine.run(pieces), start=1):
            if outcome.error:
                failures.append(f"{outcome.piece.title}: {outcome.error}")
                reporter.say(failures[-1])
            reporter.update("index", done, count, unit="shards", note=engine.note)
        if failures:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise UnavailableError(
                f"{len(failures)} of {count} shards failed: {failures[0]}{more}; what is done is kept, "
                "and the same command continues"
            )
        summary = merge_shards(
            [piece.output for piece in pieces],
            out,
            store=order.store != "none",
            progress=reporter,
            warn=warn,
        )
        shutil.rmtree(folder)
        return summary


def shards_folder(out: Path) -> Path:
    """Where the shards of an index are until they are merged."""
    return out.with_name(f"{out.name}.shards")


def _count_of(folder: Path, order: IndexOrder, wanted: int) -> int:
    """In how many shards the index was begun, or is now."""
    path = folder / PLAN
    try:
        plan = read_sealed(path)
        if plan["key"] == order.key:
            return int(plan["count"])
    except (OSError, ValueError, LookupError, TypeError, CorruptError):
        pass  # there is none, or of another index: its shards have other names
    write_sealed(path, {"key": order.key, "count": wanted})
    return wanted


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold an index that is computed by an engine; raises UnavailableError if another process does."""
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(f".{out.name}.engine.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UnavailableError(
                f"another process is computing the index {out}: wait until it has ended, or give another "
                "--out"
            ) from error
    try:
        yield
    finally:
        lock.release()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
