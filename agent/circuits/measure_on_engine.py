"""A circuit run's measurements on the workers of an engine: a piece is one measurement of one batch.

1. Workers tokenize the prompts, which this process draws: it never loads the subject.
2. The investigation says what it will ask for (`CircuitContext.ahead`); each part that the journal
   does not hold becomes a piece.
3. A worker opens the subject as a graph once, measures the batch, and writes the value into a file.
4. When the investigation asks for the value, this process reads the file, adds it to the log and
   deletes the file. So the log has the rows of one process, in their order. If this process is
   killed, what has a file is not measured again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tools.errors import UnavailableError
from ..engine.checked_file import read_checked, write_checked
from ..runlog.journal import request_hash
from ..runlog.layout import PIECES
from ..runlog.log import canonical
from ..runlog.progress import Reporter
from .measurements import BatchMeasurement
from .subject_questions import SubjectQuestion

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel
    from ..engine import Engine, SubjectChoice, Worker

FORMAT = 1
"""Of a piece's output. It goes into the piece's key, so that another version's output is not read."""


@dataclass(frozen=True, eq=False)
class MeasurementPiece:
    """One measurement of one batch, for the run in `folder`, which all nodes see."""

    folder: Path
    subject: SubjectChoice
    part: BatchMeasurement

    @property
    def key(self) -> str:
        """The hash of everything that the value depends on."""
        subject = [self.subject.revision, self.subject.dtype]
        return request_hash({"format": FORMAT, "subject": subject, "request": self.part.request})

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"measurement {self.part.request['what']!r} of {len(self.part.batch.pairs)} prompts"

    @property
    def output(self) -> Path:
        """The file of the value."""
        return self.folder / PIECES / f"{self.key}.value"

    def run(self, worker: Worker) -> None:
        """Measure the batch and write the file."""
        value = self.part.measure(_model(worker, self.subject))
        if self.part.measurement.of_edges:
            buffer = io.BytesIO()
            np.save(buffer, value, allow_pickle=False)
            write_checked(self.output, buffer.getvalue())
        else:
            write_checked(self.output, canonical(value).encode())

    def read(self) -> Any:
        """The value; raises CorruptError if the file is not what a worker wrote."""
        content = read_checked(self.output)
        if self.part.measurement.of_edges:
            return np.load(io.BytesIO(content), allow_pickle=False)
        return json.loads(content)


@dataclass(frozen=True)
class QuestionCall:
    """A question that a worker's subject answers."""

    subject: SubjectChoice
    question: SubjectQuestion

    def run(self, worker: Worker) -> Any:
        """The answer."""
        return self.question.answer(_model(worker, self.subject))


def _model(worker: Worker, choice: SubjectChoice) -> CircuitModel:
    """The subject as a graph, opened once in each worker."""
    from ...tools.circuits.selftest import reopen_circuit_model

    return worker.keep(f"circuit {choice}", lambda: reopen_circuit_model(worker.subject(choice)))


class EngineMeasurements:
    """Measures parts side by side, hands their values out one by one, and asks the subject.

    Args:
        folder: of the run.
        subject: as every worker loads it.
    """

    def __init__(
        self, engine: Engine, folder: Path, subject: SubjectChoice, reporter: Reporter
    ) -> None:
        self._engine, self._folder, self._subject = engine, folder, subject
        self._reporter = reporter

    def make(self, parts: Sequence[BatchMeasurement]) -> None:
        """Have the values of all parts measured that have no file yet.

        Raises:
            UnavailableError: a worker cannot measure one, or none is left.
        """
        pieces = {piece.key: piece for piece in map(self._piece, parts)}
        missing = [piece for piece in pieces.values() if not piece.output.exists()]
        if not missing:
            return
        self._report(0, len(missing))
        for done, outcome in enumerate(self._engine.run(missing), 1):
            if outcome.error:
                raise UnavailableError(f"{outcome.piece.title}: {outcome.error}")
            self._report(done, len(missing))

    def _report(self, done: int, total: int) -> None:
        self._reporter.update("measure", done, total, unit="pieces", note=self._engine.note)

    def read(self, part: BatchMeasurement) -> Any:
        """The value of a part that was made."""
        return self._piece(part).read()

    def remove(self, part: BatchMeasurement) -> None:
        """Delete the file of a part whose value the log has."""
        self._piece(part).output.unlink(missing_ok=True)

    def ask(self, question: SubjectQuestion) -> Any:
        """The answer of a free worker's subject; raises what the question raised there."""
        return self._engine.call(QuestionCall(self._subject, question))

    def _piece(self, part: BatchMeasurement) -> MeasurementPiece:
        return MeasurementPiece(self._folder, self._subject, part)
