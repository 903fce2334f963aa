"""What a source's log has of the scores of `hubel eval`, and what is added to it.

    evaluation           id: claim, model, corpus, split, scorer; data: the outcome of one scorer
    transfer             id: claim, corpus; data: r by parts of another corpus
    evaluation_failure   id: claim; data: a defect that cost this explanation

Nothing here computes a score: `work` says which are wanted, and `write` takes what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...evals.judge.protocol import Cost
from ...evals.score import Score, Split
from ...evals.scorers.score_all import Outcome
from ...tools.subject.address import Unit
from ..investigation.rotated_floors import rotated_means, with_rotated
from ..runlog.log import Data, RunLog, canonical
from ..runlog.reviews import Reviews
from .measure import Measured, SplitWork, Work
from .plan import RescoredTarget, RescoringPlan
from .scoring_tasks import ON_SUBJECT
from .sources import ExplanationSource
from .tables import Explanation

EVENT = "evaluation"
TRANSFER_EVENT = "transfer"
FAILURE_EVENT = "evaluation_failure"
SIMULATION = "llm_simulation"
"""The scorer that asks the simulator; all others ask the judge."""
SPLITS: tuple[Split, ...] = ("select", "holdout")


@dataclass(frozen=True)
class Order:
    """What is wanted of one explanation.

    Attributes:
        names: all scorers of the plan by split, those that are kept included.
        kept: outcomes that the log has, and that stay, by split and scorer.
    """

    explanation: Explanation
    work: Work
    names: Mapping[Split, Sequence[str]]
    kept: Mapping[Split, Mapping[str, Outcome]]
    after_viewing: bool


class EvaluationLog:
    """The scores of one source under one plan. Safe to use from many threads.

    Args:
        by_predicate: whether there is no judge, and the predicate decides.
    """

    def __init__(
        self, source: ExplanationSource, plan: RescoringPlan, log: RunLog, *, by_predicate: bool
    ) -> None:
        self._source, self._plan, self._log = source, plan, log
        self._by_predicate = by_predicate
        self._simulator_name = plan.simulator.name or plan.judge.name
        self._run_rows = {row["target"]: row for row in source.rows}
        self._reviews = Reviews(source.folder)

    def order(self, explanation: Explanation) -> Order:
        """What is wanted of an explanation."""
        was_opened = self._reviews.opened(explanation.target) is not None
        after_viewing = self._source.after_viewing or was_opened
        names: dict[Split, list[str]] = {}
        kept: dict[Split, dict[str, Outcome]] = {}
        wanted: list[SplitWork] = []
        for split in self._splits(after_viewing):
            names[split] = [n for n in self._plan.scorers if split == "holdout" or self._is_free(n)]
            logged = {name: self._logged(explanation, split, name) for name in names[split]}
            kept[split] = self._kept(logged)
            missing = tuple(name for name in names[split] if name not in kept[split])
            wanted.append(SplitWork(split, missing, self._attempt(logged, missing)))
        on_holdout = kept.get("holdout", {})
        simulated = SIMULATION in on_holdout and self._logged(explanation, "holdout", SIMULATION)
        work = Work(
            tuple(wanted),
            tuple(name for name, outcome in on_holdout.items() if outcome.scores),
            simulated["attempt"] if simulated else 0,
        )
        return Order(explanation, work, names, kept, after_viewing)

    def write(
        self, order: Order, measured: Measured, seconds: float, *, again: bool = False
    ) -> RescoredTarget:
        """Write what was measured, and return the explanation's row.

        Args:
            again: whether it may be in the log already; then only what is missing is written.
        """
        explanation = order.explanation
        means = self._rotated_means(explanation)
        outcomes: dict[Split, list[Outcome]] = {}
        for wanted in order.work.splits:
            known = dict(order.kept[wanted.split])
            for outcome in measured.outcomes[wanted.split]:
                scores = tuple(with_rotated(score, means) for score in outcome.scores)
                known[outcome.scorer] = replace(outcome, scores=scores)
                self._write(explanation, wanted, known[outcome.scorer], again=again)
            outcomes[wanted.split] = [known[name] for name in order.names[wanted.split]]
        if measured.transfer:
            rows = [score.to_json() for score in measured.transfer]
            row = {"corpus": self._plan.corpus, "parts": rows}
            id = f"{explanation.id}/{self._plan.corpus}"
            self._append(TRANSFER_EVENT, row, explanation.target, id, again=again)
        return RescoredTarget(
            explanation,
            "done",
            outcomes,
            order.after_viewing,
            self.run_row(explanation),
            round(seconds, 3),
            transfer=measured.transfer,
            leaks=measured.leaks,
            evidence=measured.evidence,
            dealt=measured.dealt,
        )

    def write_failure(self, explanation: Explanation, failure: Mapping[str, Any]) -> RescoredTarget:
        """Write that a defect cost this explanation; the next call scores it again."""
        self._log.write(FAILURE_EVENT, dict(failure), target=explanation.target, id=explanation.id)
        return self.row(explanation, "failed", failure["error"])

    def row(self, explanation: Explanation, status: str, error: str = "") -> RescoredTarget:
        """The row of an explanation without scores."""
        return RescoredTarget(explanation, status, run=self.run_row(explanation), error=error)

    def run_row(self, explanation: Explanation) -> Mapping[str, Any]:
        """The run's own row of an explanation's target."""
        return self._run_rows.get(explanation.target, {})

    def _splits(self, after_viewing: bool) -> tuple[Split, ...]:
        if self._plan.corpus:
            return ("holdout",)
        is_new = not self._source.is_run or self._source.after_viewing
        return ("select",) if after_viewing and is_new else SPLITS

    def _kept(self, logged: Mapping[str, Any]) -> dict[str, Outcome]:
        """The outcomes in the log that are not scored again."""
        if not self._plan.retry_failed:
            return {}
        rows = {name: row for name, row in logged.items() if row is not None}
        return {name: _from_log(row) for name, row in rows.items() if not row["failure"]}

    def _attempt(self, logged: Mapping[str, Any], missing: Sequence[str]) -> int:
        # a new attempt is a new request for the journal, so an unreadable answer is not used again;
        # after one that never came, those that came are used
        attempts = [
            row["attempt"] + (not row.get("unanswered"))
            for name in missing
            if self._plan.retry_failed and (row := logged[name])
        ]
        return max(attempts, default=0)

    def _rotated_means(self, explanation: Explanation) -> Mapping[tuple[str, str], float]:
        """What rotated directions reach by the run's explainer, on the run's text."""
        if self._plan.corpus or not self._source.is_run:
            return {}
        return rotated_means(self._log, Unit.parse(explanation.target))

    def _is_free(self, scorer: str) -> bool:
        """Whether a scorer costs nothing on select."""
        by_predicate = self._by_predicate and scorer not in ON_SUBJECT
        return by_predicate or scorer.startswith("simulation")

    def _event_id(self, explanation: Explanation, split: Split, scorer: str) -> str:
        model = self._simulator_name if scorer == SIMULATION else self._plan.judge.name
        return "/".join([explanation.id, model, self._plan.corpus, split, scorer])

    def _logged(self, explanation: Explanation, split: Split, scorer: str) -> Any:
        return self._log.get(EVENT, explanation.target, self._event_id(explanation, split, scorer))

    def _write(
        self, explanation: Explanation, wanted: SplitWork, outcome: Outcome, *, again: bool
    ) -> None:
        row = {
            "judge": self._plan.judge.name,
            "corpus": self._plan.corpus or None,
            "split": wanted.split,
            "explanation": explanation.words,
            "predicate": explanation.predicate,
            "attempt": wanted.attempt,
            **outcome.to_json(),
        }
        id = self._event_id(explanation, wanted.split, outcome.scorer)
        self._append(EVENT, row, explanation.target, id, again=again)

    def _append(self, event: str, row: Data, target: str, id: str, *, again: bool) -> None:
        logged = self._log.get(event, target, id) if again else None
        if logged is None or canonical(logged) != canonical(row):
            self._log.write(event, row, target=target, id=id)


def _from_log(row: Mapping[str, Any]) -> Outcome:
    scores = tuple(Score.from_json(score) for score in row["scores"])
    return Outcome(row["scorer"], scores, row["failure"], row["skipped"], Cost())
