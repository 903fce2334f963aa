"""The only place where a run reads holdout: the winner's score there, once a target, and the
verdicts of the run.

`verify_target` scores the winner on holdout and writes the scores, p and what the verdict needs. A
second score on holdout for another hypothesis of the same target is refused, so that nothing can be
chosen by it. `conclude_target` writes what the investigation found. `decide_run`, when the last
target has ended, fills in the floor *other*, which needs the other targets' explanations, and
writes all verdicts as one event.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...evals.floors import draw_other_target
from ...evals.score import Floors, Score, Split
from ...evals.scorers.registry import ScoringTask
from ...evals.scorers.simulation import evidence_for_verdict, simulation
from ...evals.scorers.task import collected_sample, scoring_task
from ...evals.statistics.correlation import pearson
from ...evals.verdict import TargetResult, decide_verdicts
from ...tools.errors import CorruptError
from ...tools.index.holdout import open_collected_holdout
from ...tools.subject.address import Unit
from ..explainers.protocol import Hypothesis
from ..runlog.config import RunConfig
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import predict
from ..runlog.log import RunLog
from .sentence_scores import SIMULATION, failed_scores, score_sentence, weigh_sentence

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.index import Collected
    from .context import InvestigationContext

COMPETITOR = "simulation.compositional"
"""Scorer under whose name the competitor's simulation stands beside the winner's."""


def verify_target(room: InvestigationContext, target: str, winner: Hypothesis) -> None:
    """Score the winner on select and holdout, and its sentence by the run's readers, and weigh the
    evidence.

    Nothing for a winner in words only, when nobody is there to simulate it.
    """
    before = room.log.get("evidence", target)
    if before is not None and before["hypothesis"] != winner.id:
        raise CorruptError(
            f"{target}: holdout was read for hypothesis {before['hypothesis']}, now {winner.id} is to be scored there; "
            "the log was changed by hand: start a new run"
        )
    if winner.predicate is None and not room.readers.has("simulator"):
        return
    if room.config.after_viewing:
        _score_on_select(room, target, winner)
        return
    holdout = _case(room, target, winner.predicate, "holdout", winner.sentence)
    _score_on_select(room, target, winner)
    if winner.predicate is not None:
        for score in simulation(holdout):
            _write_score(room.log, target, winner.id, score)
    _score_competitor(room, target, winner)
    score_the_sentence(room, target, winner, holdout)
    wordy = winner.predicate is None
    evidence = (
        weigh_sentence(room.readers, target, winner, holdout)
        if wordy
        else evidence_for_verdict(holdout)
    )
    room.log.write("evidence", _plain(vars(evidence)) | {"hypothesis": winner.id}, target=target)


def score_the_sentence(
    room: InvestigationContext, target: str, winner: Hypothesis, holdout: ScoringTask | None = None
) -> None:
    """Score the winner's sentence by the run's readers; what failed before is asked for again."""
    if room.config.after_viewing:
        return
    holdout = holdout or _case(room, target, winner.predicate, "holdout", winner.sentence)
    for score in score_sentence(room.readers, target, winner, holdout):
        _write_score(room.log, target, winner.id, score)


def _score_on_select(room: InvestigationContext, target: str, winner: Hypothesis) -> None:
    if winner.predicate is not None:
        for score in simulation(_case(room, target, winner.predicate, "select")):
            _write_score(room.log, target, winner.id, score)


def _score_competitor(room: InvestigationContext, target: str, winner: Hypothesis) -> None:
    """What the formula search found, on the same text: the floor that a language model has to beat."""
    found = room.log.get("competitor", target)
    if found is None:
        return
    for split in ("select", "holdout"):
        for score in simulation(_case(room, target, found["predicate"], split)):
            _write_score(room.log, target, winner.id, replace(score, scorer=COMPETITOR))


def _case(
    room: InvestigationContext, target: str, printed: str | None, split: Split, sentence: str = ""
) -> ScoringTask:
    collected = (
        open_collected_holdout(room.folder / COLLECTED)
        if split == "holdout"
        else room.collected(split)
    )
    predicted = None
    if printed is not None:
        predicted = room.predict(printed, collected.tokens, collected.length)
    task = scoring_task(
        Unit.parse(target),
        split,
        collected,
        room.collected("explore"),
        predicted,
        seed=room.seed(target),
        explanation=sentence,
        vocabulary=room.lexicon.strings,
    )
    return replace(task, simulated_contexts=room.config.simulator_contexts)


def _write_score(log: RunLog, target: str, hypothesis: str, score: Score) -> None:
    name = f"{hypothesis}/{score.scorer}/{score.split}/{score.text}"
    log.write("score", score.to_json() | {"hypothesis": hypothesis}, target=target, id=name)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as plain JSON numbers, intervals as objects."""
    return {k: dict(v._asdict()) if hasattr(v, "_asdict") else v for k, v in row.items()}


def conclude_target(
    room: InvestigationContext, target: str, found: Hypothesis | None, reason: str
) -> None:
    """Write what an investigation found, with what it took."""
    evidence = room.log.get("evidence", target) or {}
    paid = room.log.all("llm_call", target).values()
    prices = [float(call["usd"]) for call in paid if call.get("usd") is not None]
    spent = [
        *room.log.all("call", target).values(),
        *room.log.all("explainer_call", target).values(),
        *paid,
    ]
    conclusion = {
        "explanation": found.sentence if found else None,
        "predicate": found.predicate if found else None,
        "hypothesis": found.id if found else None,
        "cannot_explain": "" if found else reason or "no hypothesis could be simulated",
        "p": evidence.get("p"),
        "seconds": round(sum(c["seconds"] for c in spent), 3),
        "calls": len(paid),
        "usd": sum(prices) if len(prices) == len(paid) else None,
        "failed_scores": failed_scores(room.log, target),
    }
    room.log.write("conclusion", conclusion, target=target)


def decide_run(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Fill in the floor *other* and write the verdicts of all registered targets as one event."""
    _fill_other(folder, config, log, lexicon)
    rows = [_result(log, target) for target in config.targets]
    verdicts = [
        v.to_json() | {"p": row.p} for v, row in zip(decide_verdicts(rows), rows, strict=True)
    ]
    log.write("verdicts", {"rows": verdicts})


def _result(log: RunLog, target: str) -> TargetResult:
    conclusion, failure = log.get("conclusion", target), log.get("failure", target)
    if conclusion is None:
        if failure is None:
            return TargetResult(target, "pending")
        return TargetResult(target, "failed", failure=failure["error"])
    evidence = log.get("evidence", target)
    scorer = SIMULATION if conclusion["predicate"] is None else "simulation"
    score = log.get("score", target, f"{conclusion['hypothesis']}/{scorer}/holdout/random")
    if evidence is None or score is None:
        return TargetResult(target, cannot_explain=bool(conclusion["cannot_explain"]))
    return TargetResult(
        target,
        value=score["value"],
        low=score["low"],
        high=score["high"],
        p=evidence["p"],
        over_trivial=evidence["over_trivial"]["low"],
        trivial=evidence["trivial"],
        active_documents=evidence["active_documents"],
    )


def _fill_other(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Score the explanation of a random unit of the same layer on each target's holdout."""
    concluded = {t: c for t in config.targets if (c := log.get("conclusion", t)) and c["predicate"]}
    holdout = open_collected_holdout(folder / COLLECTED) if concluded else None
    for target in concluded:
        other = draw_other_target(target, config.targets, list(concluded), config.seed)
        if other is None or holdout is None:
            continue
        r = _r_of(concluded[other]["predicate"], target, holdout, lexicon)
        _add_other(log, target, concluded[target]["hypothesis"], r)


def _r_of(printed: str, target: str, holdout: Collected, lexicon: Lexicon) -> float:
    predicted = predict(printed, lexicon, holdout.tokens, holdout.length)
    return pearson(collected_sample(Unit.parse(target), holdout, predicted))


def _add_other(log: RunLog, target: str, hypothesis: str, r: float) -> None:
    stored = log.get("score", target, f"{hypothesis}/simulation/holdout/random")
    if stored is not None:
        score = Score.from_json(stored)
        with_other = replace(score, floors=Floors(**{**score.floors.to_json(), "other": r}))
        _write_score(log, target, hypothesis, with_other)
