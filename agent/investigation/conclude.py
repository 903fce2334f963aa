"""Step 6, conclude: what an investigation found, and the verdicts of the run.

`conclude_target` writes one target's conclusion. After the last target `decide_run` adds the floor
*other*, which needs the other targets' explanations, and writes all verdicts as one event.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...evals.verdict import TargetResult, decide_verdicts
from ..runlog.spending import paid_rows
from .sentence_scores import SIMULATION, count_failed_scores
from .verify import add_other_floors

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Hypothesis
    from ..runlog.config import RunConfig
    from ..runlog.log import RunLog


def conclude_target(log: RunLog, unit: Unit, winner: Hypothesis | None, reason: str) -> None:
    """Log what an investigation found and what it cost.

    Args:
        reason: why there is no winner.
    """
    target = str(unit)
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
    log.write("conclusion", conclusion, target=target)


def decide_run(folder: Path, config: RunConfig, log: RunLog, lexicon: Lexicon) -> None:
    """Add the floor *other*, and write the verdicts of all registered targets as one event."""
    add_other_floors(folder, config, log, lexicon)
    results = [_result(log, target) for target in config.targets]
    verdicts = [
        verdict.to_json() | {"p": result.p}
        for verdict, result in zip(decide_verdicts(results), results, strict=True)
    ]
    log.write("verdicts", {"rows": verdicts})


def _result(log: RunLog, target: str) -> TargetResult:
    """What the run's verdicts need to know about one target."""
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
