"""`hubel eval`: explanations scored again, by any scorers, on held-out text or on another corpus.

1. A source (`source`) has explanations and a folder with activations; what is missing is collected
   now.
2. Each explanation becomes a `ScoringTask` on holdout, and on select for what costs nothing there (so that
   the drop is seen). With `corpus`, on that corpus instead. Rivals (token lookup, another unit's
   explanation) come from explore.
3. Each scorer gives scores, or a failure, or says that there is nothing to score. All of it is
   written to the log as an `evaluation` event of the target: holdout is never read without a trace.
   Verdicts and the run's figures stay as they are.
4. After somebody has opened a target's held-out text on the review page, a new explanation of it is
   scored on select and on other corpora only; what is scored then is marked.

A judge's answers go through the journal (`judging`); targets are judged side by side.
`retry_failed` takes what is known from the log and asks again for what failed. Where a budget is
reached the targets that are left stay pending; evaluated again, they go on from the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...evals.judge.protocol import Chat, Cost
from ...evals.score import Score, Split
from ...evals.scorers import registry
from ...evals.scorers.score_all import Outcome, score_all
from ...tools.errors import BudgetReached, HubelError
from ...tools.index.holdout import open_collected_holdout
from ..llm import Patience
from ..llm.budget import Budget, BudgetLimits
from ..llm.journaled_judge import JournaledJudge, Role
from ..llm.judges import check_judge, check_simulator, is_model, make_judge
from ..run.execute import failure_of
from ..run.preflight import check_dollars
from ..runlog.log import RunLog, WriterLock, seal
from ..runlog.progress import Reporter
from ..runlog.reviews import Reviews
from ..runlog.stopping import Stopped
from .data import SourceData
from .plan import Evaluation, RescoredTarget, RescoringPlan
from .scoring_tasks import ON_SUBJECT, TaskBuilder
from .sources import ExplanationSource
from .tables import Explanation

if TYPE_CHECKING:
    from ...tools.subject import Subject

EVENT = "evaluation"
SPLITS: tuple[Split, ...] = ("select", "holdout")


def check_plan(plan: RescoringPlan) -> None:
    """Raise UsageError for an unknown scorer or judge and for dollars that cannot be counted, before all loading."""
    for name in plan.scorers:
        registry.get_scorer(name)
    asked = (
        (plan.judge, plan.price, "judge-"),
        (plan.simulator, plan.simulator_price, "simulator-"),
    )
    check_dollars((plan.budget, plan.target_budget), asked)
    check_judge(plan.judge, plan.base_url)
    if plan.simulator:
        check_simulator(plan.simulator, plan.simulator_base_url)


def evaluate(
    source: ExplanationSource,
    plan: RescoringPlan,
    *,
    reporter: Reporter | None = None,
    subject: Subject | None = None,
    budget: Budget | None = None,
) -> Evaluation:
    """Score a source's explanations.

    Args:
        subject: the loaded subject, if the caller has it; else it is loaded when it is first needed.
        budget: of several sources together; else the plan's, of this one.
    """
    check_plan(plan)
    reporter = reporter or Reporter()
    source.folder.mkdir(parents=True, exist_ok=True)
    with WriterLock(source.folder), closing(RunLog(source.folder)) as log:
        work = _SourceScorer(
            source,
            plan,
            log,
            reporter,
            subject,
            budget or Budget(BudgetLimits(plan.budget, plan.target_budget)),
        )
        rows = _score_concurrently(
            work.score, source.explanations, plan, reporter, work.patience.stopped.set
        )
        log.close()
        if log.get("verdicts") is not None or not source.is_run:
            seal(source.folder)
    scored = {row.explanation.target: row for row in rows}
    order = [row["target"] for row in source.rows] or list(scored)
    runs = {row["target"]: row for row in source.rows}
    return Evaluation(
        source, plan, [scored.get(t) or _unscored(runs[t]) for t in order], work.budget_reached
    )


def _score_concurrently(
    score: Callable[[Explanation], RescoredTarget],
    explanations: Sequence[Explanation],
    plan: RescoringPlan,
    reporter: Reporter,
    stop: Callable[[], None],
) -> list[RescoredTarget]:
    """A row an explanation, in their order. A predicate keeps a processor busy anyway, and a script
    answers in turn.

    Args:
        stop: ends the waits for language models, when the work is interrupted.
    """
    alone = not (
        is_model(plan.judge) or is_model(plan.simulator) or plan.judge.startswith("constant:")
    )
    workers = 1 if alone else plan.concurrency
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = [pool.submit(score, explanation) for explanation in explanations]
        try:
            for number, ended in enumerate(as_completed(running)):
                ended.result()
                reporter.update("score", number + 1, len(running), unit="targets")
        except BaseException:
            stop()
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in running]


def _unscored(row: Mapping[str, Any]) -> RescoredTarget:
    """A target of the run that has no explanation: it counts as a target all the same."""
    return RescoredTarget(
        Explanation(row["target"], ""),
        row["status"],
        run=row,
        error=row["error"] or row["reason"] or "",
    )


class _SourceScorer:
    """One source under one plan: what its cases share."""

    def __init__(
        self,
        source: ExplanationSource,
        plan: RescoringPlan,
        log: RunLog,
        reporter: Reporter,
        subject: Subject | None,
        budget: Budget,
    ) -> None:
        self.source, self.plan, self.log = source, plan, log
        self._budget = budget
        self.budget_reached = ""
        """Which limit was reached, if one was."""
        self.texts = SourceData(source, plan, reporter, subject, open_collected_holdout)
        self.patience = Patience(plan.patience)
        self.judge = make_judge(
            plan.judge, plan.base_url, self.patience, plan.price, logprobs=plan.logprobs
        )
        self.simulator = self._make_simulator()
        self._cases = TaskBuilder(source, plan, self.texts)
        self._runs = {row["target"]: row for row in source.rows}
        self._reviews = Reviews(source.folder)

    def _make_simulator(self) -> Chat | None:
        plan = self.plan
        if not plan.simulator:
            return self.judge if is_model(plan.judge) else None
        where, price = plan.simulator_base_url, plan.simulator_price
        return make_judge(plan.simulator, where, self.patience, price, logprobs=plan.logprobs)

    def score(self, explanation: Explanation) -> RescoredTarget:
        """Score one explanation. A defect in here costs this target and no other, and is scored again the next time."""
        try:
            return self._score(explanation)
        except BudgetReached as reached:
            self.budget_reached = str(reached)
            run = self._runs.get(explanation.target, {})
            return RescoredTarget(explanation, "pending", run=run, error=self.budget_reached)
        except (HubelError, Stopped):
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of an evaluation
            fault = failure_of(error)
            self.log.write(
                "evaluation_failure", fault, target=explanation.target, id=explanation.id
            )
            return RescoredTarget(
                explanation,
                "failed",
                run=self._runs.get(explanation.target, {}),
                error=fault["error"],
            )

    def _score(self, explanation: Explanation) -> RescoredTarget:
        started = time.perf_counter()
        viewed = self.source.after_viewing or self._reviews.opened(explanation.target) is not None
        outcomes: dict[Split, list[Outcome]] = {}
        for split in self._splits(viewed):
            outcomes[split] = self._outcomes(explanation, split)
        seconds = round(time.perf_counter() - started, 3)
        run = self._runs.get(explanation.target, {})
        return RescoredTarget(explanation, "done", outcomes, viewed, run, seconds)

    def _splits(self, viewed: bool) -> tuple[Split, ...]:
        if self.plan.corpus:
            return ("holdout",)
        new = not self.source.is_run or self.source.after_viewing
        return ("select",) if viewed and new else SPLITS

    # outcomes, from the log or anew

    def _outcomes(self, explanation: Explanation, split: Split) -> list[Outcome]:
        names = [n for n in self.plan.scorers if split == "holdout" or self._is_free(n)]
        known = {name: self._logged(explanation, split, name) for name in names}
        again = [
            n
            for n in names
            if not self.plan.retry_failed or known[n] is None or known[n]["failure"]
        ]
        fresh: dict[str, Outcome] = {}
        if again:
            attempt = max(
                [known[n]["attempt"] + 1 for n in again if self.plan.retry_failed and known[n]],
                default=0,
            )
            case = self._cases.build(explanation, split, self._chat(explanation, attempt))
            simulator = self._journaled(
                self.simulator, explanation, attempt, self.simulator_name, "simulator"
            )
            for outcome in score_all(replace(case, simulator=simulator), again):
                fresh[outcome.scorer] = outcome
                self._write(explanation, split, outcome, attempt)
        return [fresh[n] if n in fresh else _from_log(known[n]) for n in names]

    def _chat(self, explanation: Explanation, attempt: int) -> Chat | None:
        return self._journaled(self.judge, explanation, attempt, self.plan.judge, "judge")

    def _journaled(
        self, chat: Chat | None, explanation: Explanation, attempt: int, name: str, role: Role
    ) -> Chat | None:
        if chat is None:
            return None
        return JournaledJudge(chat, self.log, explanation.target, name, attempt, role, self._budget)

    @property
    def simulator_name(self) -> str:
        """Who simulates, for the journal."""
        return self.plan.simulator or self.plan.judge

    def _is_free(self, scorer: str) -> bool:
        """Whether a scorer costs nothing on select."""
        return scorer.startswith("simulation") or (self.judge is None and scorer not in ON_SUBJECT)

    def _event_id(self, explanation: Explanation, split: Split, scorer: str) -> str:
        who = self.simulator_name if scorer == "llm_simulation" else self.plan.judge
        return "/".join([explanation.id, who, self.plan.corpus, split, scorer])

    def _logged(self, explanation: Explanation, split: Split, scorer: str) -> Any:
        return self.log.get(EVENT, explanation.target, self._event_id(explanation, split, scorer))

    def _write(
        self, explanation: Explanation, split: Split, outcome: Outcome, attempt: int
    ) -> None:
        row = {
            "judge": self.plan.judge,
            "corpus": self.plan.corpus or None,
            "split": split,
            "explanation": explanation.sentence,
            "predicate": explanation.predicate,
            "attempt": attempt,
            **outcome.to_json(),
        }
        id = self._event_id(explanation, split, outcome.scorer)
        self.log.write(EVENT, row, target=explanation.target, id=id)


def _from_log(row: Mapping[str, Any]) -> Outcome:
    scores = tuple(Score.from_json(score) for score in row["scores"])
    return Outcome(row["scorer"], scores, row["failure"], row["skipped"], Cost())
