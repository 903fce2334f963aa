"""What it costs to explain a target: CPU seconds of one thread, target by target.

1. A run of all detectors is made as usual. What its targets share is made first and not counted:
   their activations, the candidates of the search, and the tagging of each split.
2. One target is explained and not counted, since it loads what is left. Then each other one is
   explained alone, and its CPU seconds are its cost.

The end of a run (verdicts, nearest units) is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...agent.investigation.loop import build_graph
from ...agent.investigation.verify import collected_texts
from ...agent.run.checkpoints import open_checkpoints
from ...agent.run.execute import make_run, resolve
from ...agent.run.investigate import investigate_target
from ...agent.run.resources import RunResources
from ...agent.runlog.config import RunConfig
from ...agent.runlog.log import RunLog, WriterLock
from ...agent.runlog.progress import Reporter
from ...tools.dissection import TextView
from ...tools.errors import HubelError
from ...tools.subject.subject import Subject


class TargetSeconds(NamedTuple):
    """CPU seconds of the investigation of each target, and the distinct tokens of its text."""

    each: tuple[float, ...]
    distinct_tokens: int

    @property
    def mean(self) -> float:
        """Of a target."""
        return float(np.mean(self.each))

    @property
    def spread(self) -> float:
        """Standard deviation over targets, as a share of their mean."""
        return float(np.std(self.each)) / self.mean


def target_seconds(
    folder: Path, index: Path, subject: Subject, targets: Sequence[str]
) -> TargetSeconds:
    """Explain targets one by one.

    Args:
        folder: of a new run.
        targets: at least two; the first one is not counted (2).

    Raises:
        HubelError: a target failed.
    """
    make_run(folder, resolve(RunConfig(index=str(index), targets=list(targets))))
    config = RunConfig.load(folder)
    with (
        WriterLock(folder),
        closing(RunLog(folder)) as log,
        closing(RunResources(folder, config, log, Reporter(), subject, None, None)) as resources,
        open_checkpoints(folder, lambda line: None) as saver,
    ):
        driver, types = resources.driver(), set[int]()
        for text in collected_texts(folder):
            _ = TextView(text.tokens, text.length, resources.lexicon()).annotations
            types.update(text.tokens[text.mask].tolist())
        graph, each = build_graph(driver, saver), list[float]()
        for target in config.targets:
            start = time.process_time()
            investigate_target(graph, driver, target)
            each.append(time.process_time() - start)
            if failure := log.get("failure", target):
                raise HubelError(f"{target} could not be explained: {failure['error']}")
    return TargetSeconds(tuple(each[1:]), len(types))
