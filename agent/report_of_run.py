"""Fill a report from a run's folder: its log, and the activations that it collected on explore and select.

No held-out text is shown: predictions stand beside the truth on select, which the explainer was chosen on. Looking at
held-out text of a target is an event of the run log, and a report that is made by default must not cause it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..evals.score import Score
from ..tools.cache import atomic_file
from ..tools.dissection import Lexicon, Predicate
from ..tools.index import Collected
from ..tools.subject.address import Unit
from .config import RunConfig
from .false_keeps import false_keeps_beside
from .heatmap import TokenMap
from .lexicon import stored_lexicon
from .log import RunLog
from .report import render_report
from .report_data import ExperimentReport, HypothesisReport, ReportData, RunReport, TargetReport, TokenWeight
from .spent import spent
from .verify import COLLECTED
from .views import rows

EXEMPLARS, COMPARED, LENS = 6, 4, 10
"""Contexts shown of each side, contexts shown with predictions, tokens of the logit lens."""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the run's report as one HTML file (by default `report.html` in its folder); returns its path."""
    out = out or folder / "report.html"
    page = render_report(report_data(folder))
    with atomic_file(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def report_data(folder: Path) -> ReportData:
    """What a report shows of a run, from its log and its activations."""
    config, log = RunConfig.load(folder), RunLog(folder, writable=False)
    explore, select = (Collected.open(folder / COLLECTED, split) for split in ("explore", "select"))
    lexicon = stored_lexicon(folder)
    found = rows(folder)
    targets = [_target(config, log, row, explore, select, lexicon) for row in found]
    paid = spent(found).removeprefix("; ")
    run = RunReport(
        name=folder.name,
        subject=config.subject["title"],
        subject_revision=config.subject["revision"],
        corpus=config.corpus["name"],
        corpus_revision=config.corpus["sha256"][:16],
        explainer=config.explainer,
        seeds={"run": config.seed},
        versions=config.versions,
        settings={"contexts": f"{len(explore.tokens)} explore, {len(select.tokens)} select"}
        | ({"language models": paid} if paid else {}),
        false_keeps=false_keeps_beside(folder),
    )
    return ReportData(run, targets)


def _target(
    config: RunConfig, log: RunLog, row: dict[str, Any], explore: Collected, select: Collected, lexicon: Lexicon
) -> TargetReport:
    target = row["target"]
    unit = Unit.parse(target)
    raw = explore.activations(unit.unsided)
    evidence = log.get("evidence", target) or {}
    seen = log.get("observation", target) or {}
    promoted, suppressed = _lens(seen)
    kind = config.nulls.get(target)
    return TargetReport(
        target=target,
        side=row["side"],
        layer=row["layer"],
        status=row["status"],
        kind="unit" if kind is None else "control" if kind in ("rotated", "redrawn") else "null",
        explanation=row["explanation"],
        predicate=row["predicate"],
        verdict=row["verdict"],
        reason=row["reason"] or row["error"] or "",
        p=row["p"],
        scores=[Score.from_json(s) for s in row["scores"]],
        over_trivial=_interval(evidence.get("over_trivial")),
        trivial=evidence.get("trivial", "trivial"),
        active_documents=evidence.get("active_documents"),
        positive=_exemplars(raw, explore, lexicon) if unit.side != "-" else [],
        negative=_exemplars(-raw, explore, lexicon, sign=-1) if unit.side != "+" and unit.site != "head" else [],
        compared=_compared(unit, row["predicate"], select, lexicon) if row["predicate"] else [],
        hypotheses=_hypotheses(log, target, row),
        promoted=promoted,
        suppressed=suppressed,
        statistics=_statistics(raw[explore.mask]),
    )


def _interval(data: dict[str, float] | None) -> tuple[float | None, float | None] | None:
    return None if data is None else (data["low"], data["high"])


def _exemplars(values: np.ndarray, split: Collected, lexicon: Lexicon, sign: int = 1) -> list[TokenMap]:
    """The contexts of different documents with the largest value, strongest first."""
    peaks = np.where(split.mask, values, -np.inf).max(axis=1)
    seen: dict[int, int] = {}
    for context in np.argsort(-peaks, kind="stable"):
        seen.setdefault(int(split.document[context]), int(context))
        if len(seen) == EXEMPLARS:
            break
    return [_map(split, c, sign * values[c], lexicon) for c in seen.values() if peaks[c] > 0]


def _map(
    split: Collected, context: int, values: np.ndarray, lexicon: Lexicon, predicted: np.ndarray | None = None
) -> TokenMap:
    n = int(split.length[context])
    return TokenMap(
        tokens=[lexicon.strings[int(t)] for t in split.tokens[context, :n]],
        values=[float(v) for v in values[:n]],
        predicted=None if predicted is None else [float(v) for v in predicted[:n]],
        source=f"document {int(split.document[context])}",
    )


def _compared(unit: Unit, printed: str, select: Collected, lexicon: Lexicon) -> list[TokenMap]:
    """Worst misses first, then the strongest activations: half and half."""
    true = unit.signal(select.activations(unit.unsided))
    predicted = Predicate.parse(printed).predict(select.tokens, lexicon, select.length)
    miss = np.where(select.mask, np.abs(true - predicted), 0).max(axis=1)
    strong = np.where(select.mask, np.abs(true), 0).max(axis=1)
    chosen = list(np.argsort(-miss, kind="stable")[: COMPARED // 2])
    chosen += [c for c in np.argsort(-strong, kind="stable") if c not in chosen][: COMPARED - len(chosen)]
    return [_map(select, int(c), true[c], lexicon, predicted[c]) for c in chosen]


def _hypotheses(log: RunLog, target: str, row: dict[str, Any]) -> list[HypothesisReport]:
    conclusion = log.get("conclusion", target) or {}
    experiments: dict[str, list[ExperimentReport]] = {}
    for id, planned in log.all("prediction", target).items():
        outcome = log.get("outcome", target, id) or {}
        experiments.setdefault(planned["hypothesis"], []).append(_experiment(planned, outcome))
    found = []
    for id, data in log.all("hypothesis", target).items():
        feedback = log.get("feedback", target, id) or {}
        found.append(
            HypothesisReport(
                id=data["id"],
                sentence=data["sentence"],
                predicate=data["predicate"],
                origin=data["origin"],
                parent=data["parent"],
                r_select=feedback.get("score"),
                chosen=data["id"] == conclusion.get("hypothesis"),
                experiments=experiments.get(data["id"], []),
            )
        )
    return found


def _experiment(planned: dict[str, Any], outcome: dict[str, Any]) -> ExperimentReport:
    span = planned["passage"]["span"]
    return ExperimentReport(
        relation=planned["relation"],
        text=planned["passage"]["text"],
        span=tuple(span) if span else None,
        quantity=planned["quantity"],
        side=planned["side"],
        other=planned["other"]["text"] if planned["other"] else None,
        bounds=tuple(planned["bounds"]) if planned["bounds"] else None,
        reason=planned["reason"],
        observed=outcome.get("observed"),
        compared=outcome.get("compared"),
        outcome=outcome.get("outcome", "void"),
    )


def _lens(seen: dict[str, Any]) -> tuple[list[TokenWeight], list[TokenWeight]]:
    lens = seen.get("logit_lens")
    if lens is None:
        return [], []
    return _weights(lens["promoted"]), _weights(lens["suppressed"])


def _weights(listed: dict[str, list[Any]]) -> list[TokenWeight]:
    return [TokenWeight(t, w) for t, w in zip(listed["tokens"], listed["logits"], strict=True)][:LENS]


def _statistics(scored: np.ndarray) -> dict[str, float]:
    """Of the raw activation over every scored token of explore."""
    q = np.quantile(scored, [0.01, 0.5, 0.9, 0.99])
    return {
        "mean": float(scored.mean()),
        "standard deviation": float(scored.std()),
        "least": float(scored.min()),
        "1 %": float(q[0]),
        "median": float(q[1]),
        "90 %": float(q[2]),
        "99 %": float(q[3]),
        "most": float(scored.max()),
    }
