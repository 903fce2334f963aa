"""An index by the workers of an engine: one piece for each shard, merged in this process.

1. The number of shards, and what one worker decides for all (`index_plan`), are fixed when an index is
   begun, and kept in `OUT.shards/plan.json`, so that a later start on more or fewer workers goes on
   with what is there.
2. A shard is a folder in `OUT.shards`, named by its number and the hash of what it is made from. It
   appears when it is finished; a worker that takes it over goes on from the last checkpoint of the
   one that died.
3. When all are there they are merged into the index, and `OUT.shards` is deleted.

This process loads neither the subject nor torch.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from ...tools.errors import CorruptError, UnavailableError
from ...tools.files import locked, writing
from ...tools.files.sealed_json import read_sealed, write_sealed
from ..runlog.progress import Reporter
from .engine import Engine
from .index_plan import DecideIndex, IndexDecision, IndexOrder, store_choice
from .worker import Worker

if TYPE_CHECKING:
    from ...tools.index import IndexSummary

PLAN = "plan.json"


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
        corpus = order.read_corpus(worker)
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
            store=store_choice(order),
            store_bits=order.store_bits,
        )


def index_on_engine(
    engine: Engine,
    order: IndexOrder,
    out: Path,
    reporter: Reporter,
    warn: Callable[[str], None] = lambda line: None,
    shards: int = 0,
    check: bool = False,
) -> IndexSummary:
    """Build or finish an index on the workers of an engine; a finished one is left as it is.

    Held by `holding`.

    Args:
        shards: in how many it is begun; 0 for as many as there are workers.
        check: whether a dictionary that explains nothing is refused.

    Raises:
        UsageError: `out` holds something else, or a worker found that it cannot be made.
        UnavailableError: shards failed.
    """
    from ...tools.index.settings import claim_folder
    from ...tools.index.shards.merge import merge_shards

    folder = shards_folder(out)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        begun = _begun(folder, order, check)
        if begun is None:
            decision: IndexDecision = engine.call(DecideIndex(order, folder, check))
            for line in decision.said:
                reporter.say(line)
            for line in decision.warned:
                warn(line)
            with locked(out):
                summary = claim_folder(out, decision.settings)
            if summary:
                _say_if_without_store(out, decision, warn)
                _remove(folder)
                return summary
            begun = _begin(folder, order, check, shards or engine.workers, decision)
        chosen = replace(order, store=begun.store, store_bits=begun.store_bits)
        pieces = [ShardPiece(chosen, folder, n, begun.shards) for n in range(1, begun.shards + 1)]
        _compute(engine, pieces, reporter)
        summary = merge_shards(
            [piece.output for piece in pieces],
            out,
            store=begun.store != "none",
            progress=reporter,
            warn=warn,
        )
        _remove(folder)
        return summary


def _remove(folder: Path) -> None:
    """Remove merged shards, the plan first: without it a repetition finds the index finished."""
    (folder / PLAN).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def shards_folder(out: Path) -> Path:
    """Where the shards of an index are until they are merged."""
    return out.with_name(f"{out.name}.shards")


def _compute(engine: Engine, pieces: list[ShardPiece], reporter: Reporter) -> None:
    """Have all shards computed; raises UnavailableError if some failed."""
    failures: list[str] = []
    for done, outcome in enumerate(engine.run(pieces), start=1):
        if outcome.error:
            failures.append(f"{outcome.piece.title}: {outcome.error}")
            reporter.say(failures[-1])
        reporter.update("index", done, len(pieces), unit="shards", note=engine.note)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise UnavailableError(
            f"{len(failures)} of {len(pieces)} shards failed: {failures[0]}{more}; what is done is "
            "kept, and the same command continues"
        )


class _Begun(NamedTuple):
    """What was fixed when an index was begun."""

    shards: int
    store: Any
    store_bits: Any


def _begun(folder: Path, order: IndexOrder, check: bool) -> _Begun | None:
    """What an earlier start has fixed; None if there was none, or of another index."""
    try:
        plan = read_sealed(folder / PLAN)
        if plan["key"] != order.key or (check and not plan["checked"]):
            return None
        store = plan["store"]
        store = tuple(store) if isinstance(store, list) else store
        return _Begun(int(plan["shards"]), store, plan["store_bits"])
    except (OSError, ValueError, LookupError, TypeError, CorruptError):
        return None


def _begin(
    folder: Path, order: IndexOrder, check: bool, shards: int, decision: IndexDecision
) -> _Begun:
    begun = _Begun(shards, decision.store, decision.store_bits)
    write_sealed(folder / PLAN, begun._asdict() | {"key": order.key, "checked": check})
    return begun


def _say_if_without_store(out: Path, decision: IndexDecision, warn: Callable[[str], None]) -> None:
    from ...tools.index.activation_store.layout import store_bytes

    if decision.store != "none" and not store_bytes(out):
        warn(
            f"{out} is finished, without an activation store; the same command without --engine adds one"
        )


@contextmanager
def holding(out: Path) -> Iterator[None]:
    """Hold an index that an engine computes, before workers start; raises UnavailableError if another
    process holds it."""
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
        with suppress(OSError):  # shards are in it, or it was never made
            shards_folder(out).rmdir()
        lock.release()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
