"""A unit of the bench as a piece of work: a worker explains and scores it into the bench's cache.

The cache is in a folder that all nodes see, and each result is a file of its own there. When all pieces
have ended, the process that holds the bench goes through the units as without an engine, and finds
everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...agent.engine import SubjectChoice, UnfitWorker, Worker
from ...agent.explainers import make_explainer
from ...agent.runlog.config import RunConfig
from ...agent.runlog.journal import request_hash
from ...agent.runlog.progress import Reporter
from ...tools.errors import UnavailableError
from ...tools.files import atomic_file, cache_dir
from ...tools.files.jsonable import jsonable
from ...tools.index import Index
from .measure import ExplanationBench
from .units import DrawnUnits, UnitDraw

if TYPE_CHECKING:
    from ...agent.engine import Engine

PIECES = "pieces"
"""Folder of the marks that a unit is done, in that of the bench's results."""


@dataclass(frozen=True)
class UnitPiece:
    """One unit of a draw.

    Attributes:
        number: of the unit in the draw.
        cache: folder in which the results must be.
    """

    subject: SubjectChoice
    index: Path
    draw: UnitDraw
    explainer: str
    number: int
    target: str
    cache: Path

    @property
    def key(self) -> str:
        """Hash of what the unit is and who explains it."""
        place = [self.subject.revision, str(self.index), self.explainer, self.number]
        return request_hash({"draw": jsonable(self.draw), "place": place})

    @property
    def title(self) -> str:
        """The unit's address."""
        return self.target

    @property
    def output(self) -> Path:
        """An empty file: the results have files of their own."""
        return self.cache / "bench" / "explanations" / PIECES / self.key

    def run(self, worker: Worker) -> None:
        """Explain and score the unit, unless the cache has it."""
        if cache_dir().resolve() != self.cache.resolve():
            raise UnfitWorker(
                f"{worker.where} has its cache in {cache_dir()}, not in {self.cache}: let HUBEL_CACHE be "
                "one folder on all nodes"
            )
        subject = worker.subject(self.subject)

        def make() -> ExplanationBench:
            import torch

            torch.set_num_threads(1)  # as in the process that holds the bench
            drawn = DrawnUnits(subject, Index.open(self.index), self.draw)
            return ExplanationBench(drawn, Reporter())

        bench = worker.keep(f"explanations {self.index} {self.draw}", make)
        config = RunConfig(str(self.index), [], seed=self.draw.seed)
        bench.row(make_explainer(self.explainer, config), bench.drawn.units[self.number])
        with atomic_file(self.output) as part:
            part.touch()


def measure_on_engine(
    engine: Engine, drawn: DrawnUnits, subject: SubjectChoice, explainer: str, reporter: Reporter
) -> None:
    """Have all units of a draw explained and scored into the cache.

    Raises:
        UnavailableError: a worker cannot do it, or none is left.
    """
    drawn.collect(reporter)
    where = subject, drawn.index.path.absolute(), drawn.draw, explainer
    units = [str(measured.unit) for measured in drawn.units]
    pieces = [UnitPiece(*where, n, unit, cache_dir()) for n, unit in enumerate(units)]
    for done, outcome in enumerate(engine.run(pieces), 1):
        if outcome.error:
            raise UnavailableError(f"{outcome.piece.title}: {outcome.error}")
        outcome.piece.output.unlink()
        reporter.update("explain", done, len(units), unit="units", note=engine.note)
