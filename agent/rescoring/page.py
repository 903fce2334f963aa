"""The page of `hubel eval`: one HTML file with tables and plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from ...evals.score import Score
from ...evals.statistics.bootstrap import Interval
from ...evals.verdict import KEEP
from ...tools.files import atomic_file
from ...tools.files.untrusted_text import escape_control
from ...tools.subject.address import Unit
from ..runlog.log import RunLog
from . import plots
from .plan import Evaluation, RescoredTarget
from .summary import (
    ScoreKind,
    ScoreSummary,
    compare_sources,
    find_score,
    score_kinds,
    score_summaries,
)
from .transfer import PartMean, mean_of_parts

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parent
STYLES = ("../review/static/tokens.css", "../review/static/figures.css", "evaluation.css")
"""Colours, type and plots look as on the review page."""
SMALLEST_P = 1e-12
"""A smaller p is an extrapolation of the fitted tail; its digits mean nothing."""
TRUTH = "truth"
"""Event of a planted unit: what is true of its explanation (`bench.planted`)."""
FLOORS = ("shuffled", "other", "token_lookup", "trivial", "list", "rotated")
PLOTTED = ScoreKind("simulation", "random")


class _ScoreRow(NamedTuple):
    """One score of a target."""

    name: str
    score: Score
    select: Score | None
    """The same on select, if the score is of holdout."""


class _PlottedTarget(NamedTuple):
    row: RescoredTarget
    unit: Unit
    layer: int
    score: Score
    select: Score | None


class _SourceSection(NamedTuple):
    """What the page shows of one source."""

    evaluation: Evaluation
    summaries: Sequence[ScoreSummary]
    rows: Sequence[tuple[RescoredTarget, Sequence[_ScoreRow]]]
    layer_plot: Markup
    drop_plot: Markup
    interval_plot: Markup
    truth_plot: Markup | None
    """Only for a bench of planted units."""
    transfer: Sequence[PartMean]
    """Mean r by part of another corpus."""
    calls: int
    tokens: int
    reasons: Sequence[tuple[str, int]]
    """Why scores are missing, and how often."""


def write_page(evaluations: Sequence[Evaluation], out: Path) -> Path:
    """Write the page; returns its path. It is self-contained: no script, no network."""
    out.parent.mkdir(parents=True, exist_ok=True)
    page = _template().render(
        sections=[_section(evaluation) for evaluation in evaluations],
        comparisons=compare_sources(evaluations),
        style=Markup("\n".join((FOLDER / sheet).read_text(encoding="utf-8") for sheet in STYLES)),
    )
    with atomic_file(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def format_number(value: float | None) -> str:
    """Two digits, or a dash where the number is unknown."""
    if value is None:
        return "–"
    rounded = round(value, 2) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:.2f}".replace("-", "−")


def format_interval(value: Score | Interval | None) -> str:
    """``0.41 [0.33, 0.49]``."""
    if value is None:
        return "–"
    if value.low is None or value.high is None:
        return format_number(value.value)
    return f"{format_number(value.value)} [{format_number(value.low)}, {format_number(value.high)}]"


def format_p(p: float) -> str:
    """A p-value with the digits that mean something."""
    if p < SMALLEST_P:
        return "< 1e−12"
    return (f"{p:.3f}" if p >= 0.001 else f"{p:.0e}").replace("-", "−")


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    environment.filters["interval"] = format_interval
    environment.filters["probability"] = format_p
    environment.filters["escape_control"] = escape_control
    return environment.get_template("evaluation.html")


def _section(evaluation: Evaluation) -> _SourceSection:
    """Tables and plots of one source."""
    kinds = score_kinds([evaluation])
    targets = _plotted(evaluation)
    by_layer = [_dot(target, float(target.layer)) for target in targets]
    drops = [_dot(target, target.select.value) for target in targets if target.select]
    rows = [(row, _score_rows(row, kinds)) for row in evaluation.rows]
    calls = sum(row.cost.calls for row in evaluation.rows)
    tokens = sum(row.cost.input_tokens for row in evaluation.rows)
    drop_title = "Score on holdout against score on select"
    return _SourceSection(
        evaluation=evaluation,
        summaries=score_summaries(evaluation),
        rows=rows,
        layer_plot=plots.score_by_layer(by_layer, _levels(targets)),
        drop_plot=plots.scatter(drops, "select r", "holdout r", drop_title),
        interval_plot=plots.intervals(by_layer, KEEP),
        truth_plot=_truth_plot(evaluation, targets),
        transfer=mean_of_parts([row.transfer for row in evaluation.rows]),
        calls=calls,
        tokens=tokens,
        reasons=_reasons(evaluation.rows),
    )


def _score_rows(row: RescoredTarget, kinds: Sequence[ScoreKind]) -> list[_ScoreRow]:
    score_rows = []
    for kind in kinds:
        if score := _main_score(row, kind):
            is_mix = kind == ("simulation", "top_and_random")
            name = "simulation, mix" if is_mix else kind.scorer
            select = find_score(row, *kind, "select") if score.split == "holdout" else None
            score_rows.append(_ScoreRow(name, score, select))
    return score_rows


def _main_score(row: RescoredTarget, kind: ScoreKind) -> Score | None:
    """The score on holdout; on select for a target that is not scored on holdout."""
    return find_score(row, *kind, "holdout" if "holdout" in row.outcomes else "select")


def _plotted(evaluation: Evaluation) -> list[_PlottedTarget]:
    """The targets that have the score that plots are of."""
    targets: list[_PlottedTarget] = []
    for row in evaluation.rows:
        if score := _main_score(row, PLOTTED):
            unit = Unit.parse(row.explanation.target)
            layer, select = evaluation.source.layer_of(unit), find_score(row, *PLOTTED, "select")
            targets.append(_PlottedTarget(row, unit, layer, score, select))
    return targets


def _dot(target: _PlottedTarget, x: float) -> plots.Dot:
    score = target.score
    verdict = target.row.run.get("verdict") or "inconclusive"
    label = f"{target.unit} {format_interval(score)} {target.row.explanation.sentence}"
    return plots.Dot(x, score.value, verdict, label, low=score.low, high=score.high)


def _truth_plot(evaluation: Evaluation, targets: Sequence[_PlottedTarget]) -> Markup | None:
    # a bench of planted units writes what is true of each explanation into the run's log
    truth = RunLog(evaluation.source.folder, writable=False).targets(TRUTH)
    dots = []
    for target in targets:
        r_truth = truth.get(str(target.unit), {}).get("r_truth")
        if r_truth is not None:
            dot = _dot(target, target.score.value)
            dots.append(replace(dot, y=r_truth, low=None, high=None))
    if not dots:
        return None
    title = "What is true of each planted unit against its score"
    return plots.scatter(dots, "held-out r", "r with the truth", title)


def _levels(targets: Sequence[_PlottedTarget]) -> list[plots.Level]:
    """The mean of each layer, and its mean floors."""
    levels = []
    for layer in sorted({target.layer for target in targets}):
        scores = [target.score for target in targets if target.layer == layer]
        mean = fmean(score.value for score in scores)
        levels.append(plots.Level(layer, mean, "mean", f"layer {layer}: mean"))
        for name in FLOORS:
            floors = [f for score in scores if (f := getattr(score.floors, name)) is not None]
            if floors:
                label = f"layer {layer}: {name}"
                levels.append(plots.Level(layer, fmean(floors), f"floor {name}", label))
    return levels


def _reasons(rows: Sequence[RescoredTarget]) -> list[tuple[str, int]]:
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update([*row.failures.values(), *row.skipped.values()])
        if row.error:
            reasons[row.error] += 1
    return reasons.most_common()
