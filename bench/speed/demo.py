"""`hubel demo` with an empty cache, after set-up: only the subject and the text are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...agent.cli.commands.demo import CORPUS, SUBJECT
from ...tools.files import cache_dir
from .rows import SpeedRow
from .run import cpu_by_phase

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

SET_UP = ("subjects", "corpora")
"""The folders of the cache that are filled by the first use of a subject and a corpus."""


def demo(bench: SpeedBench) -> Iterator[SpeedRow]:
    """The whole loop, from the first forward pass to the report."""
    from ...tools.corpus import read_corpus
    from ...tools.subject.locate import subject_folder

    # The demo has its own subject and corpus. They are fetched now, if they have never been used.
    subject_folder(SUBJECT, None, bench.reporter.say)
    read_corpus(CORPUS)
    cache = bench.folder / "cache"
    for name in SET_UP:
        shutil.copytree(cache_dir() / name, cache / name)
    bench.reporter.say("demo")
    cost = bench.hubel("demo", "--device", bench.device, cache=cache)
    phases = cpu_by_phase(bench.runs / "demo", cost.cpu_seconds)
    yield SpeedRow(
        "demo, empty cache",
        cost.wall_seconds,
        cost.cpu_seconds,
        {"peak_rss_mb": cost.peak_mb},
        phases,
    )
