"""The winner's sentence, scored apart from its predicate, by language models that read it and see
nothing else.

1. The simulator predicts activations on held-out contexts (`evals.scorers.llm_simulation`), the
   judge says which windows are active (`evals.scorers.detection`). Both are scores beside the
   predicate's.
2. With a predicate, the verdict is the predicate's, so that all explainers are compared on the same
   tokens; the sentence's scores are shown beside it, and a score that failed is counted, and asked
   for again by `hubel resume`.
3. Without one, the verdict is the simulator's, with the interval that its contexts give; if that
   fails, so does the target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...evals.judge.protocol import JudgeError
from ...evals.score import Score
from ...evals.scorers.llm_simulation import random_contexts, simulate_both_texts, simulate_contexts
from ...evals.scorers.registry import ScoringTask
from ...evals.scorers.score_all import Outcome, score_all
from ...evals.scorers.simulation import Evidence, evidence_for_verdict
from ...evals.scorers.task import collected_sample
from ...evals.scorers.windows import TokenText
from ...evals.statistics.correlation import pearson
from ...tools.subject.address import Unit
from ..llm.sentence_judges import FAILURE

if TYPE_CHECKING:
    from ..explainers.protocol import Hypothesis
    from ..llm.sentence_judges import SentenceJudges
    from ..runlog.log import RunLog
    from .context import InvestigationContext

SIMULATION = "llm_simulation"
SELECT_CONTEXTS = 8
"""Contexts of select on which a claim in words only is simulated, each time that one is proposed."""
SCORERS = {"simulator": SIMULATION, "judge": "detection"}


def score_sentence(
    readers: SentenceJudges, target: str, winner: Hypothesis, case: ScoringTask
) -> list[Score]:
    """Scores of the winner's sentence by the readers that the run names.

    Args:
        case: the winner on holdout, with the words of the contexts.

    Raises:
        JudgeError: the simulator failed, and there is no predicate to rest a verdict on.
    """
    outcomes = [
        _outcome(readers, target, winner, case, role)
        for role in ("simulator", "judge")
        if readers.has(role)
    ]
    for outcome in outcomes:
        if outcome.failure:
            readers.failed(target, scored(winner.id, outcome.scorer), outcome.failure)
            if winner.predicate is None and outcome.scorer == SIMULATION:
                raise JudgeError(
                    f"{outcome.failure}: without a predicate there is no verdict without a simulation"
                )
    return [score for outcome in outcomes for score in outcome.scores]


def simulate_on_select(
    room: InvestigationContext, target: str, hypothesis: Hypothesis
) -> float | None:
    """Score on select of a claim in words only, on a few contexts; None without a simulator, or when it failed."""
    id = scored(hypothesis.id, "select")
    chat = room.readers.chat("simulator", target, id)
    if chat is None:
        return None
    select = room.collected("select")
    sample = collected_sample(Unit.parse(target), select, None)
    printed = TokenText(select.tokens, select.length, room.lexicon.strings)
    case = ScoringTask(
        sample,
        "select",
        seed=room.seed(target),
        explanation=hypothesis.sentence,
        token_text=printed,
        simulator=chat,
        simulated_contexts=SELECT_CONTEXTS,
    )
    try:
        value = pearson(simulate_contexts(case, random_contexts(case)).sample)
    except JudgeError as error:
        room.readers.failed(target, id, str(error))
        return None
    room.log.write("feedback", {"score": value, "worst": []}, target=target, id=hypothesis.id)
    return value


def weigh_sentence(
    readers: SentenceJudges, target: str, winner: Hypothesis, case: ScoringTask
) -> Evidence:
    """The evidence of a winner without a predicate: its simulation, from the journal by now."""
    chat = readers.chat("simulator", target, scored(winner.id, SIMULATION))
    return evidence_for_verdict(simulate_both_texts(replace(case, simulator=chat)).random)


def scored(hypothesis: str, scorer: str) -> str:
    """The id under which a score's failures are counted."""
    return f"{hypothesis}/{scorer}"


def failed_scores(log: RunLog, target: str) -> int:
    """Scores of a target's sentence that failed and have not been made since."""
    made = {f"{row['hypothesis']}/{row['scorer']}" for row in log.all("score", target).values()}
    wanted = [
        id for id in log.all(FAILURE, target) if str(id).rpartition("/")[2] in SCORERS.values()
    ]
    return sum(id not in made for id in wanted)


def _outcome(
    readers: SentenceJudges, target: str, winner: Hypothesis, case: ScoringTask, role: str
) -> Outcome:
    scorer = SCORERS[role]
    chat = readers.chat(
        "simulator" if role == "simulator" else "judge", target, scored(winner.id, scorer)
    )
    case = replace(case, simulator=chat) if role == "simulator" else replace(case, chat=chat)
    return score_all(case, [scorer])[0]
