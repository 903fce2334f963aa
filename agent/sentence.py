"""The winner's sentence, scored apart from its predicate, by language models that read it and see nothing else.

1. The simulator predicts activations on held-out contexts (`evals.llm_simulation`), the judge says which windows are
   active (`evals.detection`). Both are scores beside the predicate's.
2. With a predicate, the verdict is the predicate's, so that all explainers are compared on the same tokens; the
   sentence's scores are shown beside it, and a score that failed is counted, and asked for again by `hubel resume`.
3. Without one, the verdict is the simulator's, with the interval that its contexts give; if that fails, so does the
   target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..evals.judge import JudgeError
from ..evals.llm_simulation import simulated
from ..evals.score import Score
from ..evals.scorers import Case
from ..evals.scoring import Outcome, score_all
from ..evals.simulation import Evidence, weigh
from .readers import FAILURE

if TYPE_CHECKING:
    from .case import Hypothesis
    from .log import RunLog
    from .readers import Readers

SIMULATION = "llm_simulation"
SCORERS = {"simulator": SIMULATION, "judge": "detection"}


def score_sentence(readers: Readers, target: str, winner: Hypothesis, case: Case) -> list[Score]:
    """Scores of the winner's sentence by the readers that the run names.

    Args:
        case: the winner on holdout, with the words of the contexts.

    Raises:
        JudgeError: the simulator failed, and there is no predicate to rest a verdict on.
    """
    outcomes = [_outcome(readers, target, winner, case, role) for role in ("simulator", "judge") if readers.has(role)]
    for outcome in outcomes:
        if outcome.failure:
            readers.failed(target, scored(winner.id, outcome.scorer), outcome.failure)
            if winner.predicate is None and outcome.scorer == SIMULATION:
                raise JudgeError(f"{outcome.failure}: without a predicate there is no verdict without a simulation")
    return [score for outcome in outcomes for score in outcome.scores]


def weigh_sentence(readers: Readers, target: str, winner: Hypothesis, case: Case) -> Evidence:
    """The evidence of a winner without a predicate: its simulation, from the journal by now."""
    chat = readers.chat("simulator", target, scored(winner.id, SIMULATION))
    return weigh(simulated(replace(case, simulator=chat)).random)


def scored(hypothesis: str, scorer: str) -> str:
    """The id under which a score's failures are counted."""
    return f"{hypothesis}/{scorer}"


def failed_scores(log: RunLog, target: str) -> int:
    """Scores of a target's sentence that failed and have not been made since."""
    made = {f"{row['hypothesis']}/{row['scorer']}" for row in log.all("score", target).values()}
    wanted = [id for id in log.all(FAILURE, target) if str(id).rpartition("/")[2] in SCORERS.values()]
    return sum(id not in made for id in wanted)


def _outcome(readers: Readers, target: str, winner: Hypothesis, case: Case, role: str) -> Outcome:
    scorer = SCORERS[role]
    chat = readers.chat("simulator" if role == "simulator" else "judge", target, scored(winner.id, scorer))
    case = replace(case, simulator=chat) if role == "simulator" else replace(case, chat=chat)
    return score_all(case, [scorer])[0]
