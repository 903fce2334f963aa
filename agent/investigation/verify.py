"""Step 5, verify: the only place where a run reads holdout.

1. `verify_target` scores the winner on holdout, once per target: its predicate, its sentence, and
   the competitor's predicate for comparison. The evidence for the verdict is logged. A second score
   on holdout for another hypothesis is refused, so that nothing can be chosen by it.
2. `rescore_sentence` asks again for scores of a sentence that failed.
3. `add_other_floors` adds the floor *other* after the last target of the run has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...evals.floors import draw_other_target
from ...evals.score import Floors, Score, Split
from ...evals.scorers.simulation import evidence_for_verdict, simulation
from ...evals.scorers.task import collected_sample, scoring_task
from ...evals.statistics.correlation import pearson
from ...tools.errors import CorruptError
from ...tools.index.holdout import open_collected_holdout
from ...tools.subject.address import Unit
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import predict
from .sentence_scores import score_sentence, sentence_evidence

if TYPE_CHECKING:
    from ...evals.scorers.registry import ScoringTask
    from ...tools.dissection import Lexicon
    from ..explainers.protocol import Hypothesis
    from ..runlog.config import RunConfig
    from ..runlog.log import RunLog
    from .context import InvestigationContext

COMPETITOR = "simulation.compositional"
"""Scorer name of the competitor's simulation, which is reported next to the winner's."""


def verify_target(context: InvestigationContext, unit: Unit, winner: Hypothesis) -> None:
    """Score the winner on select and holdout, and log the scores and the evidence.

    Does nothing for a winner in words only, if the run has no simulator.

    Raises:
        CorruptError: holdout was already read for another hypothesis of this target.
        JudgeError: a winner in words only could not be simulated.
    """
    log, target = context.log, str(unit)
    earlier = log.get("evidence", target)
    if earlier is not None and earlier["hypothesis"] != winner.id:
        raise CorruptError(
            f"{target}: holdout was read for hypothesis {earlier['hypothesis']}, "
            f"now {winner.id} is to be scored there; the log was changed by hand: start a new run"
        )
    if winner.predicate is None and not context.judges.has("simulator"):
        return

    if winner.predicate is not None:
        on_select = _scoring_task(context, unit, "select", winner.predicate)
        _log_scores(log, unit, winner, simulation(on_select))
    if context.config.after_viewing:
        return  # a person has seen this target's holdout, so no score there is blind any more

    holdout = _scoring_task(context, unit, "holdout", winner.predicate, winner.sentence)
    if winner.predicate is not None:
        _log_scores(log, unit, winner, simulation(holdout))
    if competitor := log.get("competitor", target):
        for split in ("select", "holdout"):
            scores = simulation(_scoring_task(context, unit, split, competitor["predicate"]))
            _log_scores(log, unit, winner, [replace(s, scorer=COMPETITOR) for s in scores])
    _log_scores(log, unit, winner, score_sentence(context.judges, target, winner, holdout))

    if winner.predicate is None:
        evidence = sentence_evidence(context.judges, target, winner, holdout)
    else:
        evidence = evidence_for_verdict(holdout)
    row = {
        name: value._asdict() if hasattr(value, "_asdict") else value
        for name, value in vars(evidence).items()
    }
    log.write("evidence", row | {"hypothesis": winner.id}, target=target)


def rescore_sentence(context: InvestigationContext, unit: Unit, winner: Hypothesis) -> None:
    """Ask again for the scores of the winner's sentence; what was answered comes from the journal."""
    if context.config.after_viewing:
        return
    holdout = _scoring_task(context, unit, "holdout", winner.predicate, winner.sentence)
    scores = score_sentence(context.judges, str(unit), winner, holdout)
    _log_scores(context.log, unit, winner, scores)


def add_other_floors(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Score on each target's holdout the explanation of a random other unit of the same layer."""
    conclusions = {target: log.get("conclusion", target) for target in config.targets}
    explained = {t: row for t, row in conclusions.items() if row and row["predicate"]}
    if not explained:
        return
    holdout = open_collected_holdout(folder / COLLECTED)
    for target, conclusion in explained.items():
        other = draw_other_target(target, config.targets, list(explained), config.seed)
        id = f"{conclusion['hypothesis']}/simulation/holdout/random"
        row = log.get("score", target, id)
        if other is None or row is None:
            continue
        printed = explained[other]["predicate"]
        predicted = predict(printed, lexicon, holdout.tokens, holdout.length)
        r = pearson(collected_sample(Unit.parse(target), holdout, predicted))
        score = Score.from_json(row)
        floors = Floors(**{**score.floors.to_json(), "other": r})
        with_other = replace(score, floors=floors).to_json()
        hypothesis = {"hypothesis": conclusion["hypothesis"]}
        log.write("score", with_other | hypothesis, target=target, id=id)


def _scoring_task(
    context: InvestigationContext,
    unit: Unit,
    split: Split,
    printed: str | None,
    sentence: str = "",
) -> ScoringTask:
    """An explanation on a split: its predicate, if there is one, and the sentence that judges read."""
    if split == "holdout":
        collected = open_collected_holdout(context.folder / COLLECTED)
    else:
        collected = context.data.collected(split)
    lexicon, predicted = context.data.lexicon, None
    if printed is not None:
        predicted = predict(printed, lexicon, collected.tokens, collected.length)
    task = scoring_task(
        unit,
        split,
        collected,
        context.data.collected("explore"),
        predicted,
        seed=context.seed(unit),
        explanation=sentence,
        vocabulary=lexicon.strings,
        resampling=context.config.resampling,
    )
    return replace(task, simulated_contexts=context.config.simulator_contexts)


def _log_scores(log: RunLog, unit: Unit, winner: Hypothesis, scores: Iterable[Score]) -> None:
    for score in scores:
        id = f"{winner.id}/{score.scorer}/{score.split}/{score.text}"
        log.write("score", score.to_json() | {"hypothesis": winner.id}, target=str(unit), id=id)
