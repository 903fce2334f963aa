"""The collect pass on the workers of an engine: each reads some batches of a split.

A worker writes the activations of its batches; this process puts them into the split's file, which has
the same bytes as one that it would have collected itself, and deletes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.corpus import Split
from ...tools.errors import UnavailableError
from ...tools.index.collect_pass import CollectedChunk
from ..runlog.journal import request_hash
from ..runlog.layout import PIECES
from .worker_run import RunInputs, open_worker_run

if TYPE_CHECKING:
    from ..engine import Engine, Worker
    from ..runlog.log import RunLog
    from ..runlog.progress import Reporter

FORMAT = 1
"""Of a chunk's file."""
CHUNKS_A_WORKER = 4
"""Of each split: few enough that a chunk is many batches, enough that no worker waits long for the last."""


@dataclass(frozen=True)
class CollectPiece:
    """Each `count`-th batch of a split, beginning with `number`, for one part of a run's targets."""

    run_inputs: RunInputs
    part: int
    split: Split
    number: int
    count: int

    @property
    def key(self) -> str:
        """The hash of everything that the activations depend on."""
        place = [self.part, self.split, self.number, self.count]
        return request_hash(
            {"format": FORMAT, "settings": self.run_inputs.settings, "place": place}
        )

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"{self.split} {self.number + 1}/{self.count} of the activations"

    @property
    def output(self) -> Path:
        """The file of the chunk."""
        return self.run_inputs.folder / PIECES / f"{self.key}.npy"

    @property
    def chunk(self) -> CollectedChunk:
        """The chunk as the collect pass has it."""
        return CollectedChunk(self.output, self.number, self.count)

    def run(self, worker: Worker) -> None:
        """Read the batches and write the file."""
        run = open_worker_run(self.run_inputs, worker)
        run.collect_chunk(self.part, self.split, self.chunk)


def collect_on_engine(
    engine: Engine, log: RunLog, reporter: Reporter, part: int, split: Split
) -> list[CollectedChunk]:
    """Have all chunks of a split collected.

    Raises:
        UnavailableError: a worker cannot collect, or none is left.
    """
    count = CHUNKS_A_WORKER * engine.workers
    inputs = RunInputs.of(log, collected=False)
    pieces = [CollectPiece(inputs, part, split, number, count) for number in range(count)]
    for done, outcome in enumerate(engine.run(pieces), 1):
        if outcome.error:
            raise UnavailableError(f"{outcome.piece.title}: {outcome.error}")
        reporter.update(f"collect {split}", done, count, unit="pieces", note=engine.note)
    return [piece.chunk for piece in pieces]
