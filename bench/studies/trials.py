"""Some runs of one check of a study: in this process, or as a piece of work on an engine's workers.

A run depends on the check and its seed alone, so it does not matter who does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...agent.engine.ray_worker import versions_here
from ...agent.runlog.journal import request_hash
from ...tools.errors import UnavailableError
from ...tools.files.sealed_json import read_sealed, write_sealed
from .registry import checks_of

if TYPE_CHECKING:
    from ...agent.engine import Engine, Worker

AT_ONCE = 10
"""Runs of a piece: about a second for most checks."""


@dataclass(frozen=True)
class Trials:
    """Runs of one check with consecutive seeds.

    Attributes:
        place: of the known answer or of the null among those of the study.
    """

    study: str
    kind: Literal["answer", "null"]
    place: int
    first: int
    runs: int

    def count(self) -> int:
        """How many runs gave the known answer, or supported a claim of the null."""
        checks, seeds = checks_of(self.study), range(self.first, self.first + self.runs)
        if self.kind == "answer":
            return sum(bool(checks.known_answers[self.place].holds(seed)) for seed in seeds)
        results = (checks.nulls[self.place].result(seed) for seed in seeds)
        return sum(any(c.verdict == "supported" for c in result.claims) for result in results)


CountTrials = Callable[[Sequence[Trials]], Iterator[tuple[Trials, int]]]
"""Yields the count of each, in any order."""


def count_here(trials: Sequence[Trials]) -> Iterator[tuple[Trials, int]]:
    """Count in this process."""
    for some in trials:
        yield some, some.count()


@dataclass(frozen=True)
class TrialsPiece:
    """Trials whose count becomes a file; `code` has the versions that it depends on."""

    trials: Trials
    folder: Path
    code: str

    @property
    def key(self) -> str:
        """Hash of the trials and the code."""
        return request_hash({"trials": asdict(self.trials), "code": self.code})

    @property
    def title(self) -> str:
        """The study."""
        return self.trials.study

    @property
    def output(self) -> Path:
        """The file of the count."""
        return self.folder / f"{self.key}.json"

    def run(self, worker: Worker) -> None:
        """Count, and write the output."""
        write_sealed(self.output, {"count": self.trials.count()})


def count_on(engine: Engine, folder: Path) -> CountTrials:
    """Counts on an engine's workers.

    Args:
        folder: of the outputs, which all nodes see. They are deleted when all trials have ended, so
            that a stopped command finds them.
    """
    code = str(versions_here())

    def count(trials: Sequence[Trials]) -> Iterator[tuple[Trials, int]]:
        pieces = [TrialsPiece(some, folder, code) for some in trials]
        for outcome in engine.run(pieces):
            piece = outcome.piece
            assert isinstance(piece, TrialsPiece)
            if outcome.error:
                raise UnavailableError(f"{piece.title}: {outcome.error}")
            yield piece.trials, read_sealed(piece.output)["count"]
        for piece in pieces:
            piece.output.unlink()

    return count
