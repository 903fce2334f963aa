"""The plan of `hubel eval` and its result, as data and as the JSON rows of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...evals.judge.protocol import Cost
from ...evals.score import Score, Split
from ...evals.scorers.registry import FORMULA_SCORERS
from ...evals.scorers.score_all import Outcome
from ...evals.scorers.simulation import Evidence
from ...evals.verdict import TargetResult
from ...tools.subject.address import Unit
from ..investigation.conclude import formula_columns
from ..runlog.model_config import NOBODY, PREDICATE, UNLIMITED, BudgetConfig, ModelConfig
from ..runlog.views import r_per_bit
from .leaks import Leaks
from .sources import ExplanationSource
from .tables import Explanation
from .transfer import PartScore

DEFAULT_SCORERS = ("simulation", *FORMULA_SCORERS, "detection", "fuzzing")


@dataclass(frozen=True)
class RescoringPlan:
    """What to score, and with what."""

    scorers: tuple[str, ...] = DEFAULT_SCORERS
    judge: ModelConfig = PREDICATE
    simulator: ModelConfig = NOBODY
    """For the scorer `llm_simulation`; by default the judge, if that is a language model."""
    batch: bool = False
    """Whether judge and simulator are asked in batches: half the price, and hours of delay."""
    logprobs: bool = False
    """Whether to request log-probabilities of answers; some models refuse to give them."""
    patience: float = 600.0
    """Seconds to wait for a busy or silent server."""
    budget: BudgetConfig = UNLIMITED
    """What judge and simulator together may take in this call."""
    corpus: str = ""
    """Another corpus; "" for the run's own holdout."""
    corpus_index: Path | None = None
    """An index of that corpus; by default the one in the cache, if there is one."""
    retry_failed: bool = False
    embedding: Literal["words", "subject"] = "words"
    """How `embedding` and `purity` compare texts: shared words, or the subject's vectors."""
    contexts: int = 500
    """Contexts of another corpus. More narrow the intervals and cost forward passes."""
    concurrency: int = 8
    """Targets judged side by side. Results do not depend on it."""
    device: str = "auto"
    dtype: str = "float32"


@dataclass(frozen=True)
class RescoredTarget:
    """One target's scores."""

    explanation: Explanation
    status: str
    """done, failed, or pending where a budget was reached."""
    outcomes: Mapping[Split, Sequence[Outcome]] = field(default_factory=dict)
    after_viewing: bool = False
    run: Mapping[str, Any] = field(default_factory=dict)
    """The run's own row of the target."""
    seconds: float = 0.0
    error: str = ""
    transfer: Sequence[PartScore] = ()
    """r by part of another corpus; see `transfer`."""
    leaks: Leaks | None = None
    """Of an imported explanation: test contexts that its own texts show, left out of its scores."""
    evidence: Evidence | None = None
    """Of an imported explanation: what its verdict rests on in addition to the score; None without predictions."""
    dealt: TargetResult | None = None
    """Of an imported set: how another unit's predicate does on this one; see `second_opinion`."""

    @property
    def scores(self) -> list[Score]:
        """All scores, select before holdout."""
        return [score for _, outcome in self._outcomes() for score in outcome.scores]

    @property
    def failures(self) -> dict[str, str]:
        """Why each failed score failed, by ``scorer/split``."""
        return {f"{o.scorer}/{split}": o.failure for split, o in self._outcomes() if o.failure}

    @property
    def skipped(self) -> dict[str, str]:
        """Why there is nothing to score, by ``scorer/split``."""
        return {f"{o.scorer}/{split}": o.skipped for split, o in self._outcomes() if o.skipped}

    @property
    def cost(self) -> Cost:
        """Of all scores together."""
        return sum((outcome.cost for _, outcome in self._outcomes()), Cost())

    def _outcomes(self) -> Iterator[tuple[Split, Outcome]]:
        for split, outcomes in self.outcomes.items():
            for outcome in outcomes:
                yield split, outcome


@dataclass(frozen=True)
class Evaluation:
    """A source's rows under a plan."""

    source: ExplanationSource
    plan: RescoringPlan
    rows: Sequence[RescoredTarget]
    budget: str = ""
    """Which limit was reached, in a sentence; "" if none was."""

    @property
    def failed(self) -> int:
        """How many scores failed."""
        return sum(len(row.failures) for row in self.rows)


def target_row(evaluation: Evaluation, row: RescoredTarget) -> dict[str, Any]:
    """A row of `hubel eval --json`: the keys of `hubel show --json`, and its scoring."""
    unit = Unit.parse(row.explanation.target)
    cost, scores = row.cost, [score.to_json() for score in row.scores]
    columns = formula_columns(row.explanation.predicate, unit)
    return {
        "target": row.explanation.target,
        "side": unit.side,
        "layer": evaluation.source.layer_of(unit),
        "status": row.status,
        "explanation": row.explanation.sentence or None,
        "predicate": row.explanation.predicate,
        "verdict": row.run.get("verdict"),
        "p": row.run.get("p"),
        "seconds": row.seconds,
        "calls": cost.calls,
        "usd": cost.usd,
        "failed_scores": len(row.failures),
        "scores": scores,
        "reason": row.run.get("reason"),
        "tier": row.run.get("tier"),
        "artefact": row.run.get("artefact"),
        "subject_warning": row.run.get("subject_warning"),
        "left_out": row.run.get("left_out"),
        **columns,
        "r_per_bit": r_per_bit(columns["bits"], scores),
        "transfer": [score.to_json() for score in row.transfer],
        "source": evaluation.source.name,
        "judge": evaluation.plan.judge.name,
        "corpus": evaluation.plan.corpus or evaluation.source.corpus,
        "after_viewing": row.after_viewing,
        "tokens": cost.input_tokens + cost.output_tokens,
        "failures": row.failures,
        "skipped": row.skipped,
        "error": row.error or None,
        **({} if row.leaks is None else {"leaks": row.leaks.to_json()}),
    }


def json_rows(evaluations: Sequence[Evaluation]) -> Iterator[dict[str, Any]]:
    """All rows of all sources."""
    for evaluation in evaluations:
        yield from (target_row(evaluation, row) for row in evaluation.rows)
