"""What an investigation by a worker costs more than in one process, and how long a call to it takes.

1. The same targets are investigated in this process, and by one worker of Ray, which is started here;
   in turn, several times.
2. What counts begins when the first `WARM` targets have ended: by then subject, lexicon and Ray are
   loaded, whose time is that of a start and not of a target.
3. CPU seconds are those of all processes: this one, which hands out targets and writes the log, the
   worker, and Ray's own.
4. The step times that an investigation records are the same work in both. What is beyond them is what
   doing it costs: the graph, messages, files and the log.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from ...agent.engine import EngineChoice, Worker
from ...agent.engine.cluster import import_ray
from ...agent.engine.ray_engine import RayEngine
from ...agent.run.execute import execute_run, make_run, resolve
from ...agent.runlog.config import RunConfig
from ...agent.runlog.model_config import ModelConfig
from ...agent.runlog.progress import Reporter, StepProgress
from ...tools.index import Index
from .rows import SpeedRow

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

WARM, COUNTED = 8, 64
"""Targets before what counts, and those that count."""
REPEATS = 3
CALLS = 200
CONTEXTS = 500
"""Of each split: fewer than a run has by default, so that less time is spent on what does not differ."""


@dataclass(frozen=True)
class Nothing:
    """A call that does nothing."""

    def run(self, worker: Worker) -> str:
        """The worker's name."""
        return worker.where


class CpuReading(NamedTuple):
    """CPU seconds of processes on this machine up to now.

    Attributes:
        driver: of this process; worker: of the engine's workers; ray: of Ray's other processes.
    """

    driver: float = 0.0
    worker: float = 0.0
    ray: float = 0.0

    @property
    def all(self) -> float:
        """Their sum."""
        return sum(self)

    def since(self, other: CpuReading) -> CpuReading:
        """What was used after another reading."""
        return CpuReading(*(a - b for a, b in zip(self, other, strict=True)))


def workers_speed(bench: SpeedBench) -> Iterator[SpeedRow]:
    """Rows of both ways, and of a call; nothing where Ray is not installed or /proc not there."""
    if not Path("/proc/self/stat").exists():
        bench.reporter.say(
            "workers: not measured, since CPU times of processes are read from /proc"
        )
        return
    import_ray()
    one, by_worker = list[CpuReading](), list[CpuReading]()
    for number in range(REPEATS):
        row, reading = _investigate(bench, f"one-{number}", None)
        one.append(reading)
        yield row
        engine = RayEngine.start(
            EngineChoice("ray", workers=1), bench.folder / "shared", bench.reporter.say
        )
        try:
            row, reading = _investigate(bench, f"worker-{number}", engine)
            by_worker.append(reading)
            yield row
            if number == REPEATS - 1:
                yield _calls(engine)
        finally:
            engine.close()
    # Those of one turn are compared, since what else the machine does changes from turn to turn.
    more = median(b.all - a.all for a, b in zip(one, by_worker, strict=True))
    yield SpeedRow("by a worker over one process", 0.0, more, {"more_ms_a_target": _ms(more)})


def _investigate(
    bench: SpeedBench, name: str, engine: RayEngine | None
) -> tuple[SpeedRow, CpuReading]:
    """Make a run and execute it; its row and what its counted targets used."""
    index = Index.open(bench.index)
    layer = min(site.layer for site in index.sites if site.kind == "mlp")
    targets = [f"mlp.{layer}~{WARM + COUNTED}@16"]
    # The cheapest explainer: of one that takes a second for a target, 20 ms would be lost in the noise.
    config = RunConfig(
        str(bench.index),
        targets,
        ModelConfig("ten-tokens"),
        concurrency=1,
        max_contexts=CONTEXTS,
    )
    folder = bench.runs / name
    make_run(folder, resolve(config))
    watch = _TargetWatch(engine)
    execute_run(folder, subject=bench.subject, engine=engine, reporter=watch)
    first, last = watch.first, watch.last
    cpu = last.cpu.since(first.cpu)
    share = COUNTED / (last.done - first.done)  # more than `WARM` may have ended at the first look
    cpu = CpuReading(*(share * part for part in cpu))
    figures = {"targets": last.done - first.done, "cpu_ms_a_target": _ms(cpu.all)}
    if engine is not None:
        figures |= {f"{part}_cpu_ms_a_target": _ms(value) for part, value in cpu._asdict().items()}
    way = "in one process" if engine is None else "by a worker"
    row = SpeedRow(f"investigations {way}", share * (last.wall - first.wall), cpu.all, figures)
    return row, cpu


class _Look(NamedTuple):
    done: int
    wall: float
    cpu: CpuReading


class _TargetWatch(Reporter):
    """Reads the clocks as targets end."""

    def __init__(self, engine: RayEngine | None) -> None:
        self._engine = engine
        self.first = self.last = _Look(0, 0.0, CpuReading())

    def show(self, current: StepProgress) -> None:
        """Note the first look at `WARM` targets or more, and the last."""
        done = int(current.done)
        if current.step != "explain" or self.last.done == done:
            return
        if self.first.done < WARM <= done:
            self.first = self._look(done)
        elif current.is_complete:  # a look takes some ms, so there is none in between
            self.last = self._look(done)

    def _look(self, done: int) -> _Look:
        return _Look(done, time.perf_counter(), self._read())

    def _read(self) -> CpuReading:
        if self._engine is None:
            return CpuReading(time.process_time())
        workers = {worker.pid for worker in self._engine.living()}
        used = _cpu_of_descendants()
        of_workers = sum(seconds for pid, seconds in used.items() if pid in workers)
        return CpuReading(time.process_time(), of_workers, sum(used.values()) - of_workers)


def _calls(engine: RayEngine) -> SpeedRow:
    """The time of a call that does nothing, as the thread that makes it sees it."""
    seconds: list[float] = []
    cpu = time.process_time()
    for _ in range(CALLS):
        started = time.perf_counter()
        engine.call(Nothing())
        seconds.append(time.perf_counter() - started)
    cpu = (time.process_time() - cpu) / CALLS
    figures = {"wall_ms": _ms(median(seconds), 1), "driver_cpu_ms": _ms(cpu, 1)}
    return SpeedRow("a call to a worker", median(seconds), cpu, figures)


def _ms(seconds: float, n: int = COUNTED) -> float:
    return round(1e3 * seconds / n, 2)


def _cpu_of_descendants() -> dict[int, float]:
    """CPU seconds of the processes that this one started, and those that they started."""
    tick = os.sysconf("SC_CLK_TCK")
    parent: dict[int, int] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(path.parent.name)
        parent[pid], used[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / tick
    mine = {os.getpid()}
    while new := {pid for pid, of in parent.items() if of in mine and pid not in mine}:
        mine |= new
    return {pid: used[pid] for pid in mine if pid != os.getpid()}
