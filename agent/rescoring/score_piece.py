"""An explanation's scores as a piece of work, for any worker of an engine.

1. A worker opens the source once (`WorkerSource`): its explanations from a file, its activations from
   the source's folder, checked by their hashes.
2. It measures what the driver found wanting in the log, and writes it into one file, which appears in
   one step. Only the driver writes the log (`score_on_engine`).
3. Where a language model is asked, all stays in the driver but what runs the subject (`SubjectCall`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...evals.judge.protocol import Cost
from ...evals.score import Score, Split
from ...evals.scorers.score_all import Outcome
from ...evals.scorers.simulation import Evidence
from ...evals.statistics.bootstrap import Interval
from ...evals.verdict import TargetResult
from ...tools.errors import CorruptError, HubelError
from ...tools.files.jsonable import jsonable
from ...tools.files.sealed_json import read_sealed, write_sealed
from ..engine import UnfitWorker, Worker
from ..run.investigate import failure_of
from ..runlog.data_files import check_hash
from ..runlog.journal import request_hash
from ..runlog.log import RunLog
from ..runlog.model_config import UNLIMITED
from ..runlog.progress import Reporter
from .data import ReadyParts
from .leaks import Leaks
from .measure import Measured, Work, measure
from .open_data import open_source_data
from .plan import RescoringPlan
from .scoring_tasks import TaskBuilder
from .source_file import read_source
from .transfer import PartScore

if TYPE_CHECKING:
    from ...tools.subject import Subject

FORMAT = 1
"""Of a piece's output. It goes into the piece's key, so that another version's output is not read."""


@dataclass(frozen=True)
class ScoreInputs:
    """What explanations are scored with, and what a worker must find.

    Attributes:
        source: the file of the source (`source_file`).
        files: path in the source's folder and SHA-256 of each file that is read; "" if it has none.
        other_corpus: the file of activations on the plan's corpus; "" without one.
        knows_subject: whether the driver was given the subject, so that units can be compared by it.
        code: versions of what decides scores.
    """

    source: Path
    plan: RescoringPlan
    files: tuple[tuple[str, str], ...]
    other_corpus: str
    knows_subject: bool
    code: str

    @property
    def key(self) -> str:
        """The hash of all that decides scores, but the explanation and the work."""
        plan = replace(self.plan, budget=UNLIMITED, concurrency=1, patience=0.0, retry_failed=False)
        rest = [self.source.name, self.files, self.other_corpus, self.knows_subject, self.code]
        plain = {**jsonable(plan), "corpus_index": str(plan.corpus_index)}
        return request_hash({"format": FORMAT, "plan": plain, "rest": jsonable(rest)})


@dataclass(frozen=True)
class ScorePiece:
    """The scores of one explanation.

    Attributes:
        number: of the explanation in its source.
        inputs_key: of the inputs, computed once.
    """

    inputs: ScoreInputs
    inputs_key: str
    number: int
    target: str
    work: Work

    @property
    def key(self) -> str:
        """The hash of everything that the scores depend on."""
        work = jsonable(self.work)
        return request_hash({"inputs": self.inputs_key, "number": self.number, "work": work})

    @property
    def title(self) -> str:
        """The target's address."""
        return self.target

    @property
    def output(self) -> Path:
        """The file of what was measured."""
        return self.inputs.source.parent / f"{self.key}.json"

    def run(self, worker: Worker) -> None:
        """Measure, and write the output. A defect is an output, too: it costs this target alone."""
        source = open_worker_source(self.inputs, worker)
        started, failure, measured = time.perf_counter(), None, _to_json(Measured({}))
        try:
            measured = _to_json(source.measure(self.number, self.work))
        except HubelError:
            raise
        except Exception as error:  # noqa: BLE001 - logged by the driver; the others go on
            failure = failure_of(error)
        seconds = time.perf_counter() - started
        row = {"measured": measured, "failure": failure, "seconds": seconds}
        write_sealed(self.output, row)


class PieceResult(NamedTuple):
    """What a piece's file has: what was measured, or the defect."""

    measured: Measured
    failure: dict[str, str] | None
    seconds: float


def read_result(path: Path) -> PieceResult:
    """Read an output; raises CorruptError if it is not what was written."""
    try:
        row = read_sealed(path)
        return PieceResult(_from_json(row["measured"]), row["failure"], row["seconds"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(
            f"{path} is not what a worker wrote: delete it; the same command scores again"
        ) from error


@dataclass(frozen=True)
class SubjectCall:
    """A call of what scorers may do to the subject: `name` is a field of `SubjectFunctions`."""

    inputs: ScoreInputs
    target: str
    split: Split
    name: str
    arguments: tuple[Any, ...]

    def run(self, worker: Worker) -> Any:
        """The function's answer."""
        functions = open_worker_source(self.inputs, worker).tasks.functions(self.target, self.split)
        return getattr(functions, self.name)(*self.arguments)


def open_worker_source(inputs: ScoreInputs, worker: Worker) -> WorkerSource:
    """What a worker keeps of a source.

    Raises:
        UnfitWorker: the worker does not find what is scored, or finds something else.
    """
    try:
        return worker.keep(f"source {inputs.key}", lambda: WorkerSource(inputs, worker))
    except HubelError as error:
        raise UnfitWorker(f"{worker.where}: {error}") from error


class WorkerSource:
    """What a worker keeps of a source between two explanations."""

    def __init__(self, inputs: ScoreInputs, worker: Worker) -> None:
        self._source = source = read_source(inputs.source)
        for name, sha256 in inputs.files:
            if sha256:
                check_hash(source.folder, name, sha256)

        def subject(load: Callable[[], Subject]) -> Subject:
            revision = source.subject["revision"]
            # Dictionaries and directions are loaded with it, as the source's units need them.
            attached = sorted({unit.name for unit in data.units if unit.name})
            name = f"subject {revision} {source.index} {inputs.plan.dtype} {attached}"
            try:
                at_hand = None if attached else worker.subject_at_hand(revision)
                loaded = at_hand or worker.keep(name, load)
                loaded.require_revision(revision, repr(source.name))
            except HubelError as error:
                raise UnfitWorker(f"{worker.where}: {error}") from error
            return loaded

        other = source.folder / inputs.other_corpus if inputs.other_corpus else None
        log = RunLog(source.folder, writable=False, read=False)
        data = open_source_data(
            source, inputs.plan, Reporter(), None, log, ReadyParts(other, subject)
        )
        if inputs.knows_subject:
            data.loaded_subject = data.subject
        self.tasks = TaskBuilder(source, inputs.plan, data)

    def measure(self, number: int, work: Work) -> Measured:
        """What is wanted of an explanation, by its predicate."""
        return measure(self.tasks, self._source.explanations[number], work)


def _to_json(measured: Measured) -> dict[str, Any]:
    outcomes: dict[str, list[Any]] = {}
    for split, of_split in measured.outcomes.items():
        outcomes[split] = [outcome.to_json() for outcome in of_split]
    return {
        "outcomes": outcomes,
        "transfer": [score.to_json() for score in measured.transfer],
        "leaks": measured.leaks and asdict(measured.leaks),
        "evidence": measured.evidence and asdict(measured.evidence),
        "dealt": measured.dealt and asdict(measured.dealt),
    }


def _from_json(row: dict[str, Any]) -> Measured:
    leaks, evidence, dealt = row["leaks"], row["evidence"], row["dealt"]
    outcomes = {split: list(map(_outcome, rows)) for split, rows in row["outcomes"].items()}
    transfer = list(map(PartScore.from_json, row["transfer"]))
    if leaks:
        leaks = Leaks(**{name: _tuple(value) for name, value in leaks.items()})
    if evidence:
        evidence = Evidence(**{name: _interval(value) for name, value in evidence.items()})
    return Measured(outcomes, transfer, leaks, evidence, dealt and TargetResult(**dealt))


def _outcome(row: dict[str, Any]) -> Outcome:
    scores = tuple(map(Score.from_json, row["scores"]))
    cost = Cost(**row["cost"])
    unanswered = row.get("unanswered", False)
    return Outcome(row["scorer"], scores, row["failure"], row["skipped"], cost, unanswered)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _interval(value: Any) -> Any:
    return Interval(*value) if isinstance(value, list) else value
