"""The parts of `hubel bench speed`, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .demo import demo
from .directions import random_directions
from .index import index_speed
from .matching import matching_speed
from .memory import peak_memory
from .probing import probing_speed
from .ratios import SpeedComparison, early_stop_speed, statistics_speed
from .rows import SpeedRow
from .run import long_run, short_run
from .run_memory import run_memory
from .session import open_session
from .shard_memory import shard_memory
from .similarity import similarity_speed
from .tool import cold_tools
from .verdicts import verdicts
from .worker_memory import worker_memory
from .workers import workers_speed

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

Row = SpeedRow | SpeedComparison


class SpeedPart(NamedTuple):
    """One part of the bench; `what` ends the sentence "measures ..."."""

    what: str
    measure: Callable[[SpeedBench], Iterator[Row]]


def _ratios(bench: SpeedBench) -> Iterator[Row]:
    from .circuits import circuits_speed

    yield from statistics_speed()
    yield similarity_speed()
    yield probing_speed()
    yield early_stop_speed(bench.subject)
    yield from circuits_speed(bench.subject)


PARTS: Mapping[str, SpeedPart] = {
    "ratios": SpeedPart(
        "statistics, similarity, early stop and circuits over the naive way", _ratios
    ),
    "index": SpeedPart("an index with and without a store over the bare forward pass", index_speed),
    "tool": SpeedPart("instruments in a new process each, on an existing index", cold_tools),
    "session": SpeedPart("a session that stays open, call by call", open_session),
    "directions": SpeedPart(
        "an index of 16,384 random directions, from the store", random_directions
    ),
    "matching": SpeedPart(
        "all units ranked by a list of words, over the naive way", matching_speed
    ),
    "run": SpeedPart("a run of 4 new targets, in its own process", short_run),
    "long-run": SpeedPart("a run of 200 new targets, in its own process", long_run),
    "verdicts": SpeedPart("whether verdicts from the store are those from a pass", verdicts),
    "memory": SpeedPart("peak memory against tokens, layers and targets", peak_memory),
    "workers": SpeedPart(
        "an investigation by a worker of Ray over one process, and a call to it", workers_speed
    ),
    "shard-memory": SpeedPart("peak memory of shards and merges of an index", shard_memory),
    "run-memory": SpeedPart(
        "peak memory of runs, and of what is done with them, against targets", run_memory
    ),
    "worker-memory": SpeedPart(
        "peak memory with a worker of Ray, against pieces and targets", worker_memory
    ),
    "demo": SpeedPart("the demo with an empty cache", demo),
}
