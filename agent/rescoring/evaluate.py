"""`hubel eval`: score explanations again, by any scorers, on held-out text or on another corpus.

1. A source (`sources`) has explanations and a folder with activations; missing ones are collected
   first.
2. Each explanation becomes a `ScoringTask` on holdout, and on select for scorers that cost nothing
   there, so that the drop can be seen. With `corpus`, on that corpus instead, and r by parts of it
   (`transfer`). Floor predictions (token lookup, another unit's explanation) come from explore.
3. Each scorer returns scores, a failure, or the reason why there is nothing to score. All of it is
   written to the log as an `evaluation` event of the target: holdout is never read without a trace.
   Verdicts and the run's own numbers stay as they are.
4. An explanation of an imported set is scored without the test contexts that its own prompt shows,
   and gets a verdict (`leaks`, `second_opinion`).
5. Once somebody has opened a target's held-out text on the review page, a new explanation of it is
   scored on select and on other corpora only, and its scores are marked.

The answers of a judge are journaled, and targets are judged side by side. With `retry_failed`,
scores in the log are kept and only failed ones are asked for again. When a budget is reached, the
remaining targets stay pending; the same call continues from the journal.

With an engine, workers score (`score_on_engine`); this process alone writes the log.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...evals.judge.protocol import AnswerPending, Chat
from ...evals.scorers import registry
from ...tools.errors import BudgetReached, HubelError
from ..llm import Patience
from ..llm.batches.batched_judge import BatchedJudge, make_batched_judge
from ..llm.batches.desk import BatchDesk
from ..llm.batches.submission import refuse_open_batches
from ..llm.budget import Budget
from ..llm.journaled_judge import JournaledJudge, Role
from ..llm.judges import check_batches, check_judge, check_simulator, make_judge
from ..llm.meter import Checks
from ..llm.prices import check_dollars
from ..run.investigate import failure_of
from ..runlog.log import RunLog, WriterLock
from ..runlog.model_config import ModelConfig
from ..runlog.progress import Reporter
from ..runlog.stopping import Stopped
from .evaluation_log import EvaluationLog
from .measure import Readers, measure
from .open_data import open_source_data
from .plan import Evaluation, RescoredTarget, RescoringPlan
from .score_on_engine import RemoteSubject, pieces_removed, score_inputs, score_on_engine
from .scoring_tasks import TaskBuilder
from .second_opinion import second_opinion
from .sources import ExplanationSource
from .tables import Explanation

if TYPE_CHECKING:
    from ...tools.subject import Subject
    from ..engine import Engine

OPINION_EVENT = "second_opinion"
WAITING = "waiting"
"""Status of a target whose answers come in a batch; it is scored again when they have come."""


def check_plan(plan: RescoringPlan, checks: Checks | None = None) -> None:
    """Check scorers, models and budget before anything is loaded.

    Args:
        checks: counts the requests that are sent.

    Raises:
        UsageError: an unknown scorer or judge, or a limit in dollars on a model without a price.
        BudgetReached: the checks have used the budget up.
    """
    for name in plan.scorers:
        registry.get_scorer(name)
    check_dollars(plan.budget, {"judge-": plan.judge, "simulator-": plan.simulator})
    check_judge(plan.judge, checks)
    if plan.simulator.name:
        check_simulator(plan.simulator, checks)
    if plan.batch:
        check_batches([plan.judge, plan.simulator])


def evaluate(
    source: ExplanationSource,
    plan: RescoringPlan,
    *,
    reporter: Reporter | None = None,
    subject: Subject | None = None,
    checks: Checks | None = None,
    engine: Engine | None = None,
) -> Evaluation:
    """Score a source's explanations.

    Args:
        subject: the subject, if the caller has loaded it; otherwise it is loaded on first use.
        checks: of the plan, which were made (`check_plan`); their budget is shared by several
            sources. By default the plan is checked here, and its budget is for this source.
        engine: whose workers score, or run the subject where a judge is asked. Results do not depend
            on it.
    """
    if checks is None:
        checks = Checks(Budget(plan.budget))
        check_plan(plan, checks)
    budget = checks.budget or Budget(plan.budget)
    reporter = reporter or Reporter()
    source.folder.mkdir(parents=True, exist_ok=True)
    with (
        WriterLock(source.folder),
        closing(RunLog(source.folder)) as log,
        pieces_removed(source),
    ):
        checks.write_to(log)
        asks = plan.judge.is_language_model or plan.simulator.is_language_model
        if asks and not plan.batch:
            refuse_open_batches(log)
        scorer = _SourceScorer(source, plan, log, reporter, subject, budget, engine)
        rows = scorer.score_all(reporter)
        if source.imported is not None:
            opinion = second_opinion(rows, source.layer_of)
            rows = [each.row for each in opinion.opinions]
            log.write(OPINION_EVENT, opinion.summary())
        # the log of an unfinished run is sealed when it ends
        if log.has("verdicts") or not source.is_run:
            log.seal()
    scored = {row.explanation.target: row for row in rows}
    # a run's targets without an explanation count as targets, too
    if source.rows:
        rows = [scored.get(row["target"]) or _unscored(row) for row in source.rows]
    return Evaluation(source, plan, rows, scorer.budget_reached)


def _unscored(run_row: Mapping[str, Any]) -> RescoredTarget:
    """A target of the run that has no explanation."""
    reason = run_row["error"] or run_row["reason"] or ""
    explanation = Explanation(run_row["target"], "")
    return RescoredTarget(explanation, run_row["status"], run=run_row, error=reason)


class _SourceScorer:
    """Scores the explanations of one source under one plan."""

    def __init__(
        self,
        source: ExplanationSource,
        plan: RescoringPlan,
        log: RunLog,
        reporter: Reporter,
        subject: Subject | None,
        budget: Budget,
        engine: Engine | None,
    ) -> None:
        self._source, self._plan, self._log, self._budget = source, plan, log, budget
        self._engine = engine
        self.budget_reached = ""
        """Which limit was reached; "" if none was."""
        self._patience = Patience(plan.patience)
        self._desk = BatchDesk(log, budget, self._patience, reporter) if plan.batch else None
        self._judge = self._make_chat(plan.judge)
        self._simulator = self._make_simulator()
        data = open_source_data(source, plan, reporter, subject, log)
        self._inputs = None if engine is None else score_inputs(source, plan, data, log)
        elsewhere = None
        if engine is not None and self._inputs is not None:
            elsewhere = RemoteSubject(engine, self._inputs).functions
        self._tasks = TaskBuilder(source, plan, data, elsewhere)
        self._written = EvaluationLog(source, plan, log, by_predicate=self._judge is None)

    @property
    def _is_computed(self) -> bool:
        """Whether nobody is asked, so that a worker can score alone."""
        return self._judge is None and self._simulator is None

    def _make_simulator(self) -> Chat | BatchedJudge | None:
        plan = self._plan
        if not plan.simulator.name:
            return self._judge if plan.judge.is_language_model else None
        return self._make_chat(plan.simulator)

    def _make_chat(self, config: ModelConfig) -> Chat | BatchedJudge | None:
        if self._desk is not None and config.is_language_model:
            return make_batched_judge(config, self._desk, logprobs=self._plan.logprobs)
        return make_judge(config, self._patience, logprobs=self._plan.logprobs)

    def score_all(self, reporter: Reporter) -> list[RescoredTarget]:
        """Score all explanations; returns one row for each, in their order."""
        explanations, engine = list(self._source.explanations), self._engine
        if engine is not None and self._inputs is not None and self._is_computed:
            return score_on_engine(engine, self._inputs, self._written, explanations, reporter)
        rows = self._score_each(explanations, reporter)
        while waiting := [place for place, row in enumerate(rows) if row.status == WAITING]:
            assert self._desk is not None
            try:
                self._desk.settle()
            except BudgetReached as reached:
                self.budget_reached = str(reached)
                break
            again = self._score_each([explanations[place] for place in waiting], reporter)
            for place, row in zip(waiting, again, strict=True):
                rows[place] = row
        return [
            replace(row, status="pending", error=self.budget_reached)
            if row.status == WAITING
            else row
            for row in rows
        ]

    def _score_each(
        self, explanations: Sequence[Explanation], reporter: Reporter
    ) -> list[RescoredTarget]:
        """Score explanations side by side; those whose answers come in a batch are `WAITING`."""
        plan = self._plan
        # A predicate keeps a processor busy anyway, and a script gives its answers in turn.
        waits = plan.judge.is_language_model or plan.simulator.is_language_model
        side_by_side = waits or plan.judge.name.startswith("constant:")
        with ThreadPoolExecutor(max_workers=plan.concurrency if side_by_side else 1) as pool:
            futures = [pool.submit(self._score_or_fail, e) for e in explanations]
            try:
                for number, future in enumerate(as_completed(futures)):
                    future.result()
                    note = "" if self._engine is None else self._engine.note
                    reporter.update("score", number + 1, len(futures), unit="targets", note=note)
            except BaseException:  # Ctrl-C, or a defect: raised again when no thread is at work
                self._patience.stopped.set()  # ends the waits for language models
                pool.shutdown(cancel_futures=True)
                raise
        return [future.result() for future in futures]

    def _score_or_fail(self, explanation: Explanation) -> RescoredTarget:
        """Score one explanation. A defect costs this target alone; the next call retries it."""
        written = self._written
        try:
            if self._desk is not None and self._desk.is_full:
                raise AnswerPending
            started, order = time.perf_counter(), written.order(explanation)
            readers = partial(self._readers, explanation.target)
            measured = measure(self._tasks, explanation, order.work, readers)
            return written.write(order, measured, time.perf_counter() - started)
        except AnswerPending:
            return written.row(explanation, WAITING)
        except BudgetReached as reached:
            self.budget_reached = str(reached)
            return written.row(explanation, "pending", self.budget_reached)
        except (HubelError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - logged with its traceback; the others go on
            return written.write_failure(explanation, failure_of(error))

    def _readers(self, target: str, attempt: int) -> Readers:
        """Judge and simulator, with the journal and the budget."""
        plan, log, budget = self._plan, self._log, self._budget

        def journaled(chat: Chat | BatchedJudge | None, name: str, role: Role) -> Chat | None:
            if chat is None:
                return None
            return JournaledJudge(chat, log, target, name, attempt, role, budget)

        simulator_name = plan.simulator.name or plan.judge.name
        return Readers(
            journaled(self._judge, plan.judge.name, "judge"),
            journaled(self._simulator, simulator_name, "simulator"),
        )
