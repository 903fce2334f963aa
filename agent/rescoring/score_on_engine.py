"""`hubel eval` on the workers of an engine. This process hands out explanations and writes the log.

1. Activations that are missing are collected here, before anything is handed out.
2. Every explanation becomes a piece (`score_piece`), which says what the log does not have.
3. When a piece has ended, its events go into the log. Its file stays until all have ended: the same
   command, given again after this process was killed, finds it, and writes what the log lacks.

With a judge or a simulator everything stays in this process, with its journal and budget, and workers
run the subject (`RemoteSubject`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...evals.score import Split
from ...tools.errors import UnavailableError
from ...tools.subject.address import Unit
from ..engine.ray_worker import versions_here
from ..runlog.chain import FILE
from ..runlog.layout import PIECES
from .data import SourceData
from .evaluation_log import EvaluationLog, Order
from .plan import RescoredTarget, RescoringPlan
from .score_piece import ScoreInputs, ScorePiece, SubjectCall, read_result
from .scoring_tasks import SubjectFunctions, is_steerable
from .source_file import write_source
from .sources import ExplanationSource
from .tables import Explanation

if TYPE_CHECKING:
    from ..engine import Engine, PieceOutcome
    from ..runlog.log import RunLog
    from ..runlog.progress import Reporter

FOLDER = "eval"
"""In a run's `pieces/`, apart from those of investigations."""


def score_inputs(
    source: ExplanationSource, plan: RescoringPlan, data: SourceData, log: RunLog
) -> ScoreInputs:
    """What workers need; collects activations that are missing, and writes the file of the source."""
    names, other_corpus = data.files()
    hashes = log.all(FILE)
    return ScoreInputs(
        write_source(pieces_folder(source), source).absolute(),
        plan,
        tuple((name, hashes[name]["sha256"] if name in hashes else "") for name in names),
        other_corpus,
        data.loaded_subject is not None,
        " ".join(f"{name} {version}" for name, version in versions_here().items()),
    )


def pieces_folder(source: ExplanationSource) -> Path:
    """Where the pieces of a source are until all have ended."""
    return source.folder / PIECES / FOLDER


@contextmanager
def pieces_removed(source: ExplanationSource) -> Iterator[None]:
    """Delete the pieces of a source at the end of the block, unless it was stopped or failed."""
    yield
    shutil.rmtree(pieces_folder(source), ignore_errors=True)


def score_on_engine(
    engine: Engine,
    inputs: ScoreInputs,
    written: EvaluationLog,
    explanations: Sequence[Explanation],
    reporter: Reporter,
) -> list[RescoredTarget]:
    """Score explanations by their predicates; returns one row for each, in their order.

    Raises:
        UnavailableError: a worker cannot do what is wanted, or none is left.
    """
    orders: dict[int, Order] = {}
    key = inputs.key

    def pieces() -> Iterator[ScorePiece]:
        for number, explanation in enumerate(explanations):
            orders[number] = written.order(explanation)
            yield ScorePiece(inputs, key, number, explanation.target, orders[number].work)

    rows: dict[int, RescoredTarget] = {}
    for outcome in engine.run(pieces()):
        piece = outcome.piece
        assert isinstance(piece, ScorePiece)
        rows[piece.number] = _write_down(written, orders.pop(piece.number), outcome)
        reporter.update(
            "score",
            len(rows),
            len(explanations),
            unit="targets",
            note=engine.note,
            at_once=engine.workers,
        )
    return [rows[number] for number in range(len(explanations))]


def _write_down(written: EvaluationLog, order: Order, outcome: PieceOutcome) -> RescoredTarget:
    """Write what came of an explanation into the log, and return its row."""
    piece = outcome.piece
    if outcome.error and not outcome.deaths:  # nothing that another target would be spared
        raise UnavailableError(f"{piece.title}: {outcome.error}")
    if outcome.error:
        failure = {"error": outcome.error, "kind": "WorkerDied", "traceback": ""}
        return written.write_failure(order.explanation, failure)
    result = read_result(piece.output)
    if result.failure is not None:
        piece.output.unlink()  # the same command tries it again
        return written.write_failure(order.explanation, result.failure)
    return written.write(order, result.measured, result.seconds, again=not outcome.where)


class RemoteSubject:
    """Runs the subject on an engine's workers, for scorers that ask language models as well."""

    def __init__(self, engine: Engine, inputs: ScoreInputs) -> None:
        self._engine, self._inputs = engine, inputs

    def functions(self, target: str, split: Split) -> SubjectFunctions:
        """What a scorer may do to the subject, as `TaskBuilder.functions` has it."""

        def call(name: str, *arguments: Any) -> Any:
            return self._engine.call(SubjectCall(self._inputs, target, split, name, arguments))

        return SubjectFunctions(
            lambda texts: call("activations_on", list(texts)),
            lambda prefixes, texts: call("loss", list(prefixes), list(texts)),
            (lambda contexts, positions: call("effects", list(contexts), list(positions)))
            if is_steerable(Unit.parse(target))
            else None,
        )
