"""What the parts of the bench work with: a subject, an index with a store, and processes of `hubel`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.runlog.progress import Reporter
from ...tools.errors import UsageError
from .process_cost import ProcessCost, run_process

if TYPE_CHECKING:
    from ...tools.subject import Subject


class Stopwatch:
    """Wall and CPU seconds of this process and its children, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def read(self) -> tuple[float, float]:
        """Wall seconds and CPU seconds so far."""
        return time.perf_counter() - self._wall, _cpu_seconds() - self._cpu


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


@dataclass
class SpeedBench:
    """The settings of the bench, and what its parts share.

    Attributes:
        given_index: an index to use; without one, one over the corpus is built when needed.
        max_tokens: tokens of the corpus to read for indexes that are built; None for all.
        folder: of everything that is written; the caller deletes it.
    """

    subject_name: str
    corpus: str
    device: str
    dtype: str
    given_index: Path | None
    max_tokens: int | None
    folder: Path
    reporter: Reporter

    @cached_property
    def subject(self) -> Subject:
        """The subject, loaded once for all parts that run in this process."""
        from ...tools.subject import load_subject

        self.reporter.say(f"loading {self.subject_name}")
        return load_subject(self.subject_name, device=self.device, dtype=self.dtype)

    @cached_property
    def index(self) -> Path:
        """An index of all units with an activation store."""
        from ...tools.index.activation_store.layout import STORE

        if self.given_index is None:
            return self._build_index()
        if not (self.given_index / STORE).is_dir():
            raise UsageError(
                f"--index {self.given_index} has no activation store; give an index that has one, or "
                "leave out --index to build one"
            )
        return self.given_index

    def _build_index(self) -> Path:
        from ...tools.corpus import read_corpus
        from ...tools.index import build_index

        self.reporter.say(f"building an index of {self.corpus} with an activation store")
        out = self.folder / "index"
        build_index(
            self.subject,
            read_corpus(self.corpus),
            out,
            max_tokens=self.max_tokens,
            progress=self.reporter,
            store="all",
        )
        return out

    @cached_property
    def index_without_store(self) -> Path:
        """The same index with the store left out."""
        from ...tools.index.activation_store.layout import STORE

        copy = self.folder / "index-without-store"
        shutil.copytree(self.index, copy, ignore=shutil.ignore_patterns(STORE))
        return copy

    def hubel(self, *arguments: str, cache: Path | None = None) -> ProcessCost:
        """Run `hubel` in its own process, with the bench's folder of runs.

        Args:
            cache: instead of the user's.

        Raises:
            UnavailableError: it failed; the message has its last line.
        """
        package = (__package__ or "hubel").split(".")[0]
        self.runs.mkdir(parents=True, exist_ok=True)
        environment = self.environment()
        if cache is not None:
            environment["HUBEL_CACHE"] = str(cache)
        return run_process([sys.executable, "-m", package, *arguments], environment)

    def environment(self) -> dict[str, str]:
        """That of the processes which the bench starts."""
        return {**os.environ, "HUBEL_RUNS": str(self.runs)}

    @property
    def runs(self) -> Path:
        """The folder of the runs that `hubel` makes."""
        return self.folder / "runs"
