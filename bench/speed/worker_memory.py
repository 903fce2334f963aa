"""Does peak memory of the process that drives workers, or of a worker, grow with pieces or targets?

Three values of each. Every point has a process of its own, which starts Ray with one worker, asks the
worker for its peak when the work is done, and prints both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...agent.engine import EngineChoice, SubjectChoice, Worker
from ...agent.engine.index_pieces import IndexOrder, index_on_engine
from ...agent.engine.ray_engine import RayEngine
from ...agent.run.execute import execute_run, make_run, resolve
from ...agent.runlog.config import RunConfig
from ...agent.runlog.model_config import ModelConfig
from ...agent.runlog.progress import Reporter
from ...tools.corpus import read_corpus
from ...tools.index import Index
from ...tools.index.description import peak_rss_mb
from .process_cost import run_process
from .rows import SpeedRow

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

PIECES = (2, 8, 32)
TOKENS = 16_384
"""Of the index in pieces: some of 32 shards have no batch, but this process handles them all alike."""
TARGETS = (50, 200, 800)
CONTEXTS = 500


@dataclass(frozen=True)
class PeakMemory:
    """A call for the peak memory of a worker, in MB."""

    def run(self, worker: Worker) -> float:
        """It."""
        return peak_rss_mb()


def worker_memory(bench: SpeedBench) -> Iterator[SpeedRow]:
    """An index at several numbers of pieces, and a run at several numbers of targets."""
    for kind, sizes, noun in (("index", PIECES, "pieces"), ("run", TARGETS, "targets")):
        for size in sizes:
            name = f"memory with a worker: {kind} of {size:,} {noun}"
            bench.reporter.say(name)
            order = {
                "kind": kind,
                "size": size,
                "out": str(bench.folder / f"{kind}-{size}"),
                "subject": bench.subject_name,
                "corpus": bench.corpus,
                "index": str(bench.index),
            }
            command = [sys.executable, "-m", __name__, json.dumps(order)]
            cost = run_process(command, bench.environment())
            yield SpeedRow(name, cost.wall_seconds, cost.cpu_seconds, json.loads(cost.output))


def _drive(order: dict[str, Any]) -> dict[str, float]:
    """Do the work of one point in this process and its worker."""
    out = Path(order["out"])
    engine = RayEngine.start(
        EngineChoice("ray", workers=1), out.with_name(f"{out.name}.shared"), lambda line: None
    )
    try:
        (_index if order["kind"] == "index" else _run)(engine, order, out)
        (worker,) = engine.call_each(PeakMemory()).values()
    finally:
        engine.close()
    return {"driver_peak_rss_mb": peak_rss_mb(), "worker_peak_rss_mb": worker}


def _index(engine: RayEngine, order: dict[str, Any], out: Path) -> None:
    corpus = read_corpus(order["corpus"])
    wanted = IndexOrder(
        SubjectChoice(order["subject"], ""),
        order["corpus"],
        corpus.sha256,
        sites=("mlp", "head"),
        layers=(0, 1),
        max_tokens=TOKENS,
        context_len=64,
        seed=0,
        store="all",
    )
    index_on_engine(engine, wanted, out, Reporter(), shards=order["size"])


def _run(engine: RayEngine, order: dict[str, Any], out: Path) -> None:
    layer = min(site.layer for site in Index.open(order["index"]).sites if site.kind == "mlp")
    targets = [f"mlp.{layer}~{order['size']}@16"]
    explainer = ModelConfig("ten-tokens")
    config = RunConfig(order["index"], targets, explainer, max_contexts=CONTEXTS)
    make_run(out, resolve(config))
    execute_run(out, engine=engine)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_drive(json.loads(sys.argv[1]))))
