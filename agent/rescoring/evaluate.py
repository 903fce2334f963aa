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
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...evals.judge.protocol import AnswerPending, Chat, Cost, answer_each
from ...evals.score import Score, Split
from ...evals.scorers import registry
from ...evals.scorers.llm_simulation import simulate_both_texts
from ...evals.scorers.score_all import Outcome, score_all
from ...evals.scorers.simulation import evidence_for_verdict
from ...tools.errors import BudgetReached, HubelError
from ...tools.index.holdout import open_collected_holdout, stored_activations
from ...tools.subject.address import Unit
from ..investigation.rotated_floors import rotated_means, with_rotated
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
from ..runlog.reviews import Reviews
from ..runlog.stopping import Stopped
from .data import SourceData
from .leaks import Leaks
from .plan import Evaluation, RescoredTarget, RescoringPlan
from .scoring_tasks import ON_SUBJECT, TaskBuilder, without_leaks
from .second_opinion import dealt_result, second_opinion
from .sources import ExplanationSource
from .tables import Explanation

if TYPE_CHECKING:
    from ...tools.subject import Subject

EVENT = "evaluation"
TRANSFER_EVENT = "transfer"
OPINION_EVENT = "second_opinion"
WAITING = "waiting"
"""Status of a target whose answers come in a batch; it is scored again when they have come."""
SPLITS: tuple[Split, ...] = ("select", "holdout")


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
) -> Evaluation:
    """Score a source's explanations.

    Args:
        subject: the subject, if the caller has loaded it; otherwise it is loaded on first use.
        checks: of the plan, which were made (`check_plan`); their budget is shared by several
            sources. By default the plan is checked here, and its budget is for this source.
    """
    if checks is None:
        checks = Checks(Budget(plan.budget))
        check_plan(plan, checks)
    budget = checks.budget or Budget(plan.budget)
    reporter = reporter or Reporter()
    source.folder.mkdir(parents=True, exist_ok=True)
    with WriterLock(source.folder), closing(RunLog(source.folder)) as log:
        checks.write_to(log)
        asks = plan.judge.is_language_model or plan.simulator.is_language_model
        if asks and not plan.batch:
            refuse_open_batches(log)
        scorer = _SourceScorer(source, plan, log, reporter, subject, budget)
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
    ) -> None:
        self._source, self._plan, self._log, self._budget = source, plan, log, budget
        self.budget_reached = ""
        """Which limit was reached; "" if none was."""
        self._patience = Patience(plan.patience)
        self._desk = BatchDesk(log, budget, self._patience, reporter) if plan.batch else None
        self._judge = self._make_chat(plan.judge)
        self._simulator = self._make_simulator()
        self._simulator_name = plan.simulator.name or plan.judge.name
        data = SourceData(
            source, plan, reporter, subject, open_collected_holdout, log, stored_activations
        )
        self._tasks = TaskBuilder(source, plan, data)
        self._run_rows = {row["target"]: row for row in source.rows}
        self._reviews = Reviews(source.folder)

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
        explanations = list(self._source.explanations)
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
                    reporter.update("score", number + 1, len(futures), unit="targets")
            except BaseException:  # Ctrl-C, or a defect: raised again when no thread is at work
                self._patience.stopped.set()  # ends the waits for language models
                pool.shutdown(cancel_futures=True)
                raise
        return [future.result() for future in futures]

    def _score_or_fail(self, explanation: Explanation) -> RescoredTarget:
        """Score one explanation. A defect costs this target alone; the next call retries it."""
        run_row = self._run_rows.get(explanation.target, {})
        try:
            if self._desk is not None and self._desk.is_full:
                raise AnswerPending
            return self._score(explanation, run_row)
        except AnswerPending:
            return RescoredTarget(explanation, WAITING, run=run_row)
        except BudgetReached as reached:
            self.budget_reached = str(reached)
            return RescoredTarget(explanation, "pending", run=run_row, error=self.budget_reached)
        except (HubelError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - logged with its traceback; the others go on
            failure = failure_of(error)
            self._log.write(
                "evaluation_failure", failure, target=explanation.target, id=explanation.id
            )
            return RescoredTarget(explanation, "failed", run=run_row, error=failure["error"])

    def _score(self, explanation: Explanation, run_row: Mapping[str, Any]) -> RescoredTarget:
        started = time.perf_counter()
        was_opened = self._reviews.opened(explanation.target) is not None
        after_viewing = self._source.after_viewing or was_opened
        leaks = self._tasks.leaks(explanation)
        splits = self._splits(after_viewing)
        scored = answer_each(lambda split: self._outcomes(explanation, split, leaks), splits)
        outcomes: dict[Split, list[Outcome]] = dict(zip(splits, scored, strict=True))
        transfer = self._tasks.transfer(explanation)
        if transfer:
            rows = [score.to_json() for score in transfer]
            row = {"corpus": self._plan.corpus, "parts": rows}
            id = f"{explanation.id}/{self._plan.corpus}"
            self._log.write(TRANSFER_EVENT, row, target=explanation.target, id=id)
        opinion = {} if leaks is None else self._opinion(explanation, leaks, outcomes)
        seconds = round(time.perf_counter() - started, 3)
        return RescoredTarget(
            explanation,
            "done",
            outcomes,
            after_viewing,
            run_row,
            seconds,
            transfer=transfer,
            **opinion,
        )

    def _opinion(
        self, explanation: Explanation, leaks: Leaks, outcomes: Mapping[Split, Sequence[Outcome]]
    ) -> dict[str, Any]:
        """What the verdict on an imported explanation rests on in addition to its scores; and the null's."""
        scored = {outcome.scorer for outcome in outcomes.get("holdout", ()) if outcome.scores}
        task, evidence = self._tasks.build(explanation, "holdout"), None
        task = without_leaks(task, leaks)
        if explanation.predicate is not None and "simulation" in scored:
            evidence = evidence_for_verdict(task)
        elif explanation.predicate is None and "llm_simulation" in scored:
            logged = self._logged(explanation, "holdout", "llm_simulation")
            # The same request as before: every answer is in the journal.
            simulator = self._journaled(
                self._simulator, explanation, logged["attempt"], self._simulator_name, "simulator"
            )
            simulated = simulate_both_texts(replace(task, simulator=simulator))
            evidence = evidence_for_verdict(simulated.random)
        wrong = self._tasks.deal(explanation, leaks)
        dealt = None if wrong is None else dealt_result(wrong, explanation.target)
        return {"leaks": leaks, "evidence": evidence, "dealt": dealt}

    def _splits(self, after_viewing: bool) -> tuple[Split, ...]:
        if self._plan.corpus:
            return ("holdout",)
        is_new = not self._source.is_run or self._source.after_viewing
        return ("select",) if after_viewing and is_new else SPLITS

    def _outcomes(
        self, explanation: Explanation, split: Split, leaks: Leaks | None = None
    ) -> list[Outcome]:
        """One outcome for each scorer, kept from the log or scored now."""
        retry = self._plan.retry_failed
        names = [n for n in self._plan.scorers if split == "holdout" or self._is_free(n)]
        logged = {name: self._logged(explanation, split, name) for name in names}
        kept = {
            name: _from_log(row)
            for name, row in logged.items()
            if retry and row is not None and not row["failure"]
        }
        missing = [name for name in names if name not in kept]
        if not missing:
            return [kept[name] for name in names]
        # a new attempt is a new request for the journal, so an unreadable answer is not used again;
        # after one that never came, those that came are used
        attempts = [
            row["attempt"] + (not row.get("unanswered"))
            for n in missing
            if retry and (row := logged[n])
        ]
        attempt = max(attempts, default=0)
        judge = self._journaled(self._judge, explanation, attempt, self._plan.judge.name, "judge")
        simulator = self._journaled(
            self._simulator, explanation, attempt, self._simulator_name, "simulator"
        )
        task = replace(self._tasks.build(explanation, split, judge), simulator=simulator)
        if split == "holdout":
            task = without_leaks(task, leaks)
        means = self._rotated_means(explanation)
        for outcome in score_all(task, missing):
            scores = tuple(with_rotated(score, means) for score in outcome.scores)
            outcome = replace(outcome, scores=scores)
            kept[outcome.scorer] = outcome
            self._write(explanation, split, outcome, attempt)
        return [kept[name] for name in names]

    def _rotated_means(self, explanation: Explanation) -> Mapping[tuple[str, str], float]:
        """What rotated directions reach by the run's explainer, on the run's text."""
        if self._plan.corpus or not self._source.is_run:
            return {}
        return rotated_means(self._log, Unit.parse(explanation.target))

    def _journaled(
        self,
        chat: Chat | BatchedJudge | None,
        explanation: Explanation,
        attempt: int,
        name: str,
        role: Role,
    ) -> Chat | None:
        if chat is None:
            return None
        target = explanation.target
        return JournaledJudge(chat, self._log, target, name, attempt, role, self._budget)

    def _is_free(self, scorer: str) -> bool:
        """Whether a scorer costs nothing on select."""
        by_predicate = self._judge is None and scorer not in ON_SUBJECT
        return by_predicate or scorer.startswith("simulation")

    def _event_id(self, explanation: Explanation, split: Split, scorer: str) -> str:
        model = self._simulator_name if scorer == "llm_simulation" else self._plan.judge.name
        return "/".join([explanation.id, model, self._plan.corpus, split, scorer])

    def _logged(self, explanation: Explanation, split: Split, scorer: str) -> Any:
        return self._log.get(EVENT, explanation.target, self._event_id(explanation, split, scorer))

    def _write(
        self, explanation: Explanation, split: Split, outcome: Outcome, attempt: int
    ) -> None:
        row = {
            "judge": self._plan.judge.name,
            "corpus": self._plan.corpus or None,
            "split": split,
            "explanation": explanation.words,
            "predicate": explanation.predicate,
            "attempt": attempt,
            **outcome.to_json(),
        }
        id = self._event_id(explanation, split, outcome.scorer)
        self._log.write(EVENT, row, target=explanation.target, id=id)


def _from_log(row: Mapping[str, Any]) -> Outcome:
    scores = tuple(Score.from_json(score) for score in row["scores"])
    return Outcome(row["scorer"], scores, row["failure"], row["skipped"], Cost())
