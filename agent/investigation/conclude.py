"""Step 6, conclude: what an investigation found, and the verdicts of the run.

`conclude_target` writes one target's conclusion. After the last target `decide_run` adds the floors
that need the whole run, and writes all verdicts as one event.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...evals.artefact import artefact
from ...evals.tier import TierScores
from ...evals.verdict import TargetResult, decide_verdicts
from ...tools.dissection import Predicate
from ..runlog.config import SINCE_PARTS
from ..runlog.spending import paid_rows
from .sentence_scores import SIMULATION, count_failed_scores
from .verify import add_other_floors, add_rotated_floors

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Hypothesis
    from ..runlog.config import RunConfig
    from ..runlog.log import Data, RunLog
    from .context import InvestigationContext

FORMULA_COLUMNS = ("headline", "meaning", "residue", "bits")


def conclude_target(
    context: InvestigationContext, unit: Unit, winner: Hypothesis | None, reason: str
) -> None:
    """Log what an investigation found and what it cost.

    Args:
        reason: why there is no winner.
    """
    log, target = context.log, str(unit)
    evidence = log.get("evidence", target) or {}
    paid = paid_rows(log, target)
    prices = [float(row["usd"]) for row in paid if row.get("usd") is not None]
    computed = [*log.all("call", target).values(), *log.all("explainer_call", target).values()]
    cannot_explain = reason or "no hypothesis could be simulated"
    conclusion = {
        "explanation": winner.sentence if winner else None,
        "predicate": winner.predicate if winner else None,
        "hypothesis": winner.id if winner else None,
        "cannot_explain": "" if winner else cannot_explain,
        "p": evidence.get("p"),
        "seconds": round(sum(row["seconds"] for row in [*computed, *paid]), 3),
        "calls": sum(row.get("calls", 1) for row in paid),
        "usd": sum(prices) if len(prices) == len(paid) else None,  # unknown if any price is
        "failed_scores": count_failed_scores(log, target),
    }
    if context.config.definitions >= SINCE_PARTS:
        conclusion |= formula_columns(winner.predicate if winner else None, unit)
        conclusion["artefact"] = _artefact(context, unit, winner) if winner else None
    log.write("conclusion", conclusion, target=target)


def formula_columns(printed: str | None, unit: Unit) -> Data:
    """What a row says of a formula besides the whole: its headline, its parts, and its length."""
    if printed is None:
        return dict.fromkeys(FORMULA_COLUMNS)
    predicate = Predicate.parse(printed)
    meaning, residue = predicate.meaning(), predicate.residue()
    return {
        "headline": predicate.headline_sentence(unit.stated_side),
        "meaning": meaning.to_text() if meaning.terms else "",
        "residue": residue.to_text() if residue.terms or residue.listed else "",
        "bits": round(predicate.bits(), 3),
    }


def _artefact(context: InvestigationContext, unit: Unit, winner: Hypothesis) -> str:
    """Why the explanation rests on how the text was cut; "" if it does not."""
    explore = context.data.of(unit, "explore")
    predicate = Predicate.parse(winner.predicate) if winner.predicate else None
    return artefact(predicate, explore.signal, explore.mask)


def decide_run(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Add the floors *other* and *rotated*, and write the verdicts of all registered targets as one event."""
    add_other_floors(folder, config, log, lexicon)
    if config.definitions >= SINCE_PARTS:
        add_rotated_floors(config, log)
    results = [_result(log, target) for target in config.targets]
    rows = [
        verdict.to_json() | {"p": result.p}
        for verdict, result in zip(decide_verdicts(results), results, strict=True)
    ]
    if config.definitions < SINCE_PARTS:
        for row in rows:
            del row["tier"]
    log.write("verdicts", {"rows": rows})


def _result(log: RunLog, target: str) -> TargetResult:
    """What the run's verdicts need to know about one target."""
    conclusion, failure = log.get("conclusion", target), log.get("failure", target)
    if conclusion is None:
        if failure is None:
            return TargetResult(target, "pending")
        return TargetResult(target, "failed", failure=failure["error"])
    evidence = log.get("evidence", target)
    scorer = SIMULATION if conclusion["predicate"] is None else "simulation"
    score = _score(log, target, conclusion, scorer)
    if evidence is None or score is None:
        return TargetResult(target, cannot_explain=bool(conclusion["cannot_explain"]))
    has_parts = "over_list" in evidence
    return TargetResult(
        target,
        value=score["value"],
        low=score["low"],
        high=score["high"],
        p=evidence["p"],
        over_trivial=evidence["over_trivial"]["low"],
        trivial=evidence["trivial"],
        active_documents=evidence["active_documents"],
        activation="a strong activation" if has_parts else "any activation",
        tier_scores=_tier_scores(log, target, conclusion, evidence) if has_parts else None,
    )


def _tier_scores(log: RunLog, target: str, conclusion: Data, evidence: Data) -> TierScores:
    values = {
        scorer: score["value"] if (score := _score(log, target, conclusion, scorer)) else None
        for scorer in ("headline", "coverage", "strength")
    }
    meaning_over_list = evidence.get("meaning_over_list") or {}
    return TierScores(
        over_list=evidence["over_list"]["value"],
        over_list_low=evidence["over_list"]["low"],
        meaning_over_list=meaning_over_list.get("value"),
        **values,
    )


def _score(log: RunLog, target: str, conclusion: Data, scorer: str) -> Data | None:
    return log.get("score", target, f"{conclusion['hypothesis']}/{scorer}/holdout/random")
