"""The winner's words, scored apart from its predicate by language models that see nothing else.

These are a language model's own (`Hypothesis.gist`), else the sentence that the formula makes.

1. The simulator predicts activations on held-out contexts (`evals.scorers.llm_simulation`); the
   judge says which windows are active (`evals.scorers.detection`). Both scores are reported next
   to the predicate's.
2. With a predicate, the verdict rests on the predicate, so that all explainers are compared on the
   same tokens. A sentence score that failed is counted, and `hubel resume` asks for it again.
3. Without a predicate, the verdict rests on the simulator's score, with the interval that its
   contexts give. If the simulator fails, so does the target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...evals.judge.protocol import JudgeError, answer_each
from ...evals.scorers.llm_simulation import random_contexts, simulate_both_texts, simulate_contexts
from ...evals.scorers.registry import ScoringTask
from ...evals.scorers.score_all import score_all
from ...evals.scorers.simulation import evidence_for_verdict
from ...evals.scorers.task import collected_sample
from ...evals.scorers.windows import TokenText
from ...evals.statistics.correlation import pearson
from ..runlog.events import SCORE_FAILURE

if TYPE_CHECKING:
    from ...evals.score import Score
    from ...evals.scorers.simulation import Evidence
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Hypothesis
    from ..llm.sentence_judges import SentenceJudges
    from ..runlog.log import RunLog
    from .context import InvestigationContext

SIMULATION, DETECTION = "llm_simulation", "detection"
"""The scorers of sentences: one for the simulator, one for the judge."""
SELECT_CONTEXTS = 8
"""Contexts of select on which a claim in words only is simulated, each time that one is proposed."""


def score_sentence(
    judges: SentenceJudges, target: str, winner: Hypothesis, task: ScoringTask
) -> list[Score]:
    """Scores of the winner's sentence by the run's simulator and judge.

    Args:
        task: the winner on holdout, with the text of the contexts.

    Raises:
        JudgeError: the simulator failed, and there is no predicate to rest a verdict on.
        AnswerPending: an answer will come in a batch; to be called again then.
    """
    # Both judges are asked before a failure is raised: what they cost is then in the journal.
    tasks: list[tuple[ScoringTask, str]] = []
    if simulator := judges.chat("simulator", target, score_id(winner.id, SIMULATION)):
        tasks.append((replace(task, simulator=simulator), SIMULATION))
    if judge := judges.chat("judge", target, score_id(winner.id, DETECTION)):
        tasks.append((replace(task, chat=judge), DETECTION))
    scored = answer_each(lambda asked: score_all(asked[0], [asked[1]]), tasks)
    outcomes = [outcome for outcomes in scored for outcome in outcomes]
    for outcome in outcomes:
        if outcome.failure:
            judges.record_failure(
                target,
                score_id(winner.id, outcome.scorer),
                outcome.failure,
                unanswered=outcome.unanswered,
            )
            if winner.predicate is None and outcome.scorer == SIMULATION:
                raise JudgeError(
                    f"{outcome.failure}: without a predicate there is no verdict without a simulation"
                )
    return [score for outcome in outcomes for score in outcome.scores]


def simulate_on_select(
    context: InvestigationContext, unit: Unit, hypothesis: Hypothesis
) -> float | None:
    """Score a claim in words only on a few contexts of select; None without a working simulator."""
    target, id = str(unit), score_id(hypothesis.id, "select")
    # the explainer waits for this score before it goes on, so it is not asked in a batch
    simulator = context.judges.chat("simulator", target, id, at_once=True)
    if simulator is None:
        return None
    select = context.data.collected("select")
    task = ScoringTask(
        collected_sample(unit, select, None, context.config.resampling),
        "select",
        seed=context.seed(unit),
        explanation=hypothesis.words,
        token_text=TokenText(select.tokens, select.length, context.data.lexicon.strings),
        simulator=simulator,
        simulated_contexts=SELECT_CONTEXTS,
    )
    try:
        score = pearson(simulate_contexts(task, random_contexts(task)).sample)
    except JudgeError as error:
        context.judges.record_failure(target, id, str(error))
        return None
    context.log.write("feedback", {"score": score, "worst": []}, target=target, id=hypothesis.id)
    return score


def sentence_evidence(
    judges: SentenceJudges, target: str, winner: Hypothesis, task: ScoringTask
) -> Evidence:
    """The evidence for the verdict on a winner in words only: its simulation, by now journaled."""
    simulator = judges.chat("simulator", target, score_id(winner.id, SIMULATION))
    return evidence_for_verdict(simulate_both_texts(replace(task, simulator=simulator)).random)


def score_id(hypothesis: str, scorer: str) -> str:
    """The id under which failures of a score are counted."""
    return f"{hypothesis}/{scorer}"


def count_failed_scores(log: RunLog, target: str) -> int:
    """Scores of a target's sentence that failed and have not succeeded since."""
    succeeded = {
        score_id(row["hypothesis"], row["scorer"]) for row in log.all("score", target).values()
    }
    failed = (str(id) for id in log.all(SCORE_FAILURE, target))
    on_holdout = [id for id in failed if id.rpartition("/")[2] in (SIMULATION, DETECTION)]
    return sum(id not in succeeded for id in on_holdout)
