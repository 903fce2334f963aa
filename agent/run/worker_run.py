"""What a worker of an engine keeps of a run: the subject, the index, the activations, the loop.

It is opened once in each worker, and checked: the subject and the index are those of the run, and so
are the files of activations, which all nodes see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...tools.errors import HubelError
from ..engine import UnfitWorker, Worker
from ..runlog.chain import FILE
from ..runlog.config import RunConfig
from ..runlog.data_files import check_hash
from ..runlog.layout import COLLECTED, CONFIG
from ..runlog.log import Entry, RunLog
from ..runlog.memory_log import MemoryLog
from ..runlog.progress import Reporter
from .investigate import investigate_target
from .resources import RunResources

if TYPE_CHECKING:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph.state import CompiledStateGraph

    from ...tools.corpus import Split
    from ...tools.index.collect_pass import CollectedChunk
    from ..investigation.drivers import ExplainerDriver
    from ..investigation.instrument_desk import InstrumentDesk


@dataclass(frozen=True)
class RunInputs:
    """The run whose targets are investigated, and what a worker must find there.

    Attributes:
        folder: of the run, which all nodes see.
        settings: SHA-256 of the run's settings.
        collected: path in the folder and SHA-256 of each file of activations.
        left_out: families of concepts that the run's process cannot have, in the words of its log.
    """

    folder: Path
    settings: str
    collected: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, log: RunLog, left_out: Iterable[str] = (), *, collected: bool = True) -> RunInputs:
        """The inputs of the run that has this log; without activations where they are collected."""
        files = {str(name): row["sha256"] for name, row in log.all(FILE).items()}
        arrays = [item for item in files.items() if item[0].startswith(f"{COLLECTED}/")]
        arrays = sorted(arrays) if collected else []
        return cls(log.folder, files[CONFIG], tuple(arrays), tuple(left_out))


def open_worker_run(inputs: RunInputs, worker: Worker) -> WorkerRun:
    """What a worker keeps of a run, checked.

    Raises:
        UnfitWorker: the worker does not have what the run needs, or has another subject, index or file.
    """
    try:
        run = worker.keep(
            f"run {inputs.folder} {inputs.settings}", lambda: WorkerRun(inputs, worker)
        )
        run.check_files(inputs)
    except HubelError as error:
        raise UnfitWorker(f"{worker.where}: {error}") from error
    return run


class WorkerRun:
    """What a worker keeps of a run between two targets.

    Raises:
        UsageError: the worker has another subject or index than the run.
    """

    def __init__(self, inputs: RunInputs, worker: Worker) -> None:
        config = RunConfig.load(inputs.folder)
        self._log = MemoryLog(inputs.folder)
        self._checked: set[tuple[str, str]] = set()
        subject = worker.subject_at_hand(config.subject["revision"])
        self._resources = RunResources(
            inputs.folder, config, self._log, Reporter(), subject, None, None
        )
        self._resources.subject()  # another one is refused before anything is computed
        self._resources.index()

    def collect_chunk(self, part: int, split: Split, chunk: CollectedChunk) -> None:
        """Write a chunk's activations of one part of the run's targets."""
        self._resources.collect_chunk(part, split, chunk)

    @cached_property
    def instruments(self) -> InstrumentDesk:
        """Calls instruments for any target of the run."""
        return self._resources.context().instruments

    @cached_property
    def _loop(self) -> _Loop:
        from langgraph.checkpoint.memory import InMemorySaver

        from ..investigation.loop import build_graph

        driver, saver = self._resources.worker_driver(), InMemorySaver()
        graph = build_graph(driver, saver)
        return _Loop(driver, saver, graph, self._resources.left_out())

    def check_files(self, inputs: RunInputs) -> None:
        """Check the files of activations, each once; raises CorruptError for one that is not the run's."""
        for name, sha256 in set(inputs.collected) - self._checked:
            check_hash(inputs.folder, name, sha256)
        self._checked |= set(inputs.collected)

    def check_concepts(self, inputs: RunInputs, worker: Worker) -> None:
        """Check that the same concepts can be had here; otherwise other formulas would win.

        Raises:
            UnfitWorker: other ones are left out here.
        """
        here, there = (
            {line.partition(":")[0] for line in lines}
            for lines in (self._loop.left_out, inputs.left_out)
        )
        if here != there:
            this, other = (", ".join(sorted(some)) or "with all concepts" for some in (here, there))
            raise UnfitWorker(
                f"{worker.where} works {this}, and the process that holds the run {other}: give both "
                "the same packages and cache (`hubel doctor` on each), then resume the run"
            )

    def investigate(
        self, target: str, before: Sequence[Entry]
    ) -> tuple[list[Entry], dict[str, tuple[float, float]]]:
        """Investigate one target from its first step; what fails becomes its failure.

        Returns:
            What was written about it, and each step's seconds and CPU seconds.
        """
        loop = self._loop
        self._log.add(before)
        try:
            investigate_target(loop.graph, loop.driver, target)
        finally:
            entries = self._log.take(target)
            loop.saver.delete_thread(target)
        return entries, loop.driver.context.clock.take_steps()


class _Loop(NamedTuple):
    driver: ExplainerDriver
    saver: InMemorySaver
    graph: CompiledStateGraph[Any, Any, Any, Any]
    left_out: list[str]
