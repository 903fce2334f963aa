"""Step 5, verify: the only place where a run reads holdout.

1. `verify_target` scores the winner on holdout, once per target: its predicate, its words, and
   the competitor's predicate for comparison; of a formula also its parts, its named concepts above
   all (`FORMULA_SCORERS`). The evidence for the verdict is logged. A second score on holdout for
   another hypothesis is refused, so that nothing can be chosen by it. Where there is no winner,
   `score_list` says how far a bare list of tokens comes.
2. `rescore_sentence` asks again for scores of a sentence that failed.
3. `add_other_floors` and `add_rotated_floors` add the floors *other* and *rotated* after the last
   target of the run has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...evals.floors import OtherTargets
from ...evals.formula_parts import formula_parts
from ...evals.score import Floors, Score, Split
from ...evals.scorers.registry import FORMULA_SCORERS
from ...evals.scorers.score_all import score_all
from ...evals.scorers.simulation import evidence_for_verdict, simulation
from ...evals.scorers.task import collected_sample, scoring_task
from ...evals.scorers.token_list import token_list
from ...evals.statistics.correlation import pearson
from ...tools.dissection import Predicate, TextView
from ...tools.errors import CorruptError
from ...tools.index import Collected
from ...tools.index.holdout import open_collected_holdout
from ...tools.subject.address import Unit
from ..runlog.config import SINCE_PARTS
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import predict
from .rotated_floors import rotated_means, with_rotated
from .sentence_scores import score_sentence, sentence_evidence

if TYPE_CHECKING:
    from ...evals.scorers.registry import ScoringTask
    from ...tools.dissection import Lexicon
    from ..explainers.protocol import Hypothesis
    from ..runlog.config import RunConfig
    from ..runlog.log import Data, RunLog
    from .context import InvestigationContext

COMPETITOR = "simulation.compositional"
"""Scorer name of the competitor's simulation, which is reported next to the winner's."""


def verify_target(context: InvestigationContext, unit: Unit, winner: Hypothesis) -> None:
    """Score the winner on select and holdout, and log the scores and the evidence.

    Does nothing for a winner in words only, if the run has no simulator.

    Raises:
        CorruptError: holdout was already read for another hypothesis of this target.
        JudgeError: a winner in words only could not be simulated.
        AnswerPending: a judge answers in a batch; to be called again then.
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
        _log_scores(context, unit, winner, simulation(on_select))
    if context.config.after_viewing:
        return  # a person has seen this target's holdout, so no score there is blind any more

    holdout = _scoring_task(context, unit, "holdout", winner.predicate, winner.words)
    # first, since a judge that is asked in a batch makes this function run again
    of_sentence = score_sentence(context.judges, target, winner, holdout)
    if winner.predicate is not None:
        _log_scores(context, unit, winner, simulation(holdout))
        _score_parts(context, unit, winner, holdout)
    if competitor := log.get("competitor", target):
        for split in ("select", "holdout"):
            scores = simulation(_scoring_task(context, unit, split, competitor["predicate"]))
            _log_scores(context, unit, winner, [replace(s, scorer=COMPETITOR) for s in scores])
    _log_scores(context, unit, winner, of_sentence)

    if winner.predicate is None:
        evidence = sentence_evidence(context.judges, target, winner, holdout)
    else:
        evidence = evidence_for_verdict(holdout)
    row = {
        name: value._asdict() if hasattr(value, "_asdict") else value
        for name, value in vars(evidence).items()
        if value is not None
    }
    log.write("evidence", row | {"hypothesis": winner.id}, target=target)


def score_list(context: InvestigationContext, unit: Unit) -> None:
    """Score on holdout the bare list of tokens of a target that the explainer cannot explain."""
    if context.config.after_viewing or context.config.definitions < SINCE_PARTS:
        return
    task = _scoring_task(context, unit, "holdout", None)
    for score in token_list(task):
        row = _score_row(score, None, context.config)
        id = f"none/{score.scorer}/{score.split}/{score.text}"
        context.log.write("score", row, target=str(unit), id=id)


def _score_parts(
    context: InvestigationContext, unit: Unit, winner: Hypothesis, holdout: ScoringTask
) -> None:
    """Score the parts of the winner's formula; log why there is nothing to score."""
    if context.config.definitions < SINCE_PARTS:
        return
    for outcome in score_all(holdout, FORMULA_SCORERS):
        _log_scores(context, unit, winner, outcome.scores)
        if outcome.skipped:
            id = f"{winner.id}/{outcome.scorer}/holdout"
            context.log.write("unscored", {"reason": outcome.skipped}, target=str(unit), id=id)


def rescore_sentence(context: InvestigationContext, unit: Unit, winner: Hypothesis) -> None:
    """Ask again for the scores of the winner's sentence; what was answered comes from the journal."""
    if context.config.after_viewing:
        return
    holdout = _scoring_task(context, unit, "holdout", winner.predicate, winner.words)
    scores = score_sentence(context.judges, str(unit), winner, holdout)
    _log_scores(context, unit, winner, scores)


def add_rotated_floors(config: RunConfig, log: RunLog) -> None:
    """Write into each held-out score what rotated directions of the target's layer reach on average."""
    for target in config.targets:
        means = rotated_means(log, Unit.parse(target))
        for id, row in log.all("score", target).items() if means else ():
            score = with_rotated(Score.from_json(row), means)
            log.write("score", _score_row(score, row["hypothesis"], config), target=target, id=id)


def add_other_floors(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Score on each target's holdout the explanation of a random other unit of the same layer."""
    explained: dict[str, _Winner] = {}  # of conclusions, which are long, only what is needed here
    for target in config.targets:
        conclusion = log.get("conclusion", target)
        if conclusion and conclusion["predicate"]:
            explained[target] = _Winner(conclusion["hypothesis"], conclusion["predicate"])
    if not explained:
        return
    holdout = open_collected_holdout(folder / COLLECTED)
    others = OtherTargets(config.targets, explained, config.seed)
    for target, winner in explained.items():
        other = others.draw(target)
        id = f"{winner.hypothesis}/simulation/holdout/random"
        row = log.get("score", target, id)
        if other is None or row is None:
            continue
        predicate = explained[other].predicate
        predicted = predict(predicate, lexicon, holdout.tokens, holdout.length)
        r = pearson(collected_sample(Unit.parse(target), holdout, predicted))
        score = Score.from_json(row)
        floors = Floors(**{**score.floors.to_json(), "other": r})
        with_other = _score_row(replace(score, floors=floors), winner.hypothesis, config)
        log.write("score", with_other, target=target, id=id)


class _Winner(NamedTuple):
    """A target's explanation: the id of the hypothesis, and its formula."""

    hypothesis: str
    predicate: str


def collected_texts(folder: Path) -> Iterator[Collected]:
    """All texts on which a run's predicates are scored, holdout included."""
    yield Collected.open(folder / COLLECTED, "explore")
    yield Collected.open(folder / COLLECTED, "select")
    yield open_collected_holdout(folder / COLLECTED)


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
    lexicon, predicted, parts = context.data.lexicon, None, None
    if printed is not None:
        predicate = Predicate.parse(printed)
        text = TextView(collected.tokens, collected.length, lexicon)
        predicted, parts = predicate.predict_text(text), formula_parts(predicate, text)
    task = scoring_task(
        unit,
        split,
        collected,
        context.data.collected("explore"),
        predicted,
        parts=parts,
        seed=context.seed(unit),
        explanation=sentence,
        vocabulary=lexicon.strings,
        resampling=context.config.resampling,
    )
    task = replace(task, simulated_contexts=context.config.simulator_contexts)
    if context.config.definitions < SINCE_PARTS:
        floors = replace(task.floor_predictions, token_list=None)
        task = replace(task, floor_predictions=floors, parts=None, activity=None)
    return task


def _log_scores(
    context: InvestigationContext, unit: Unit, winner: Hypothesis, scores: Iterable[Score]
) -> None:
    for score in scores:
        id = f"{winner.id}/{score.scorer}/{score.split}/{score.text}"
        row = _score_row(score, winner.id, context.config)
        context.log.write("score", row, target=str(unit), id=id)


def _score_row(score: Score, hypothesis: str | None, config: RunConfig) -> Data:
    """A score as the log has it; old runs replay to the floors that they had."""
    floors = score.floors.to_json()
    if config.definitions < SINCE_PARTS:
        floors = {name: floors[name] for name in floors if name not in ("list", "rotated")}
    return score.to_json() | {"floors": floors, "hypothesis": hypothesis}
