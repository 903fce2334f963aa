"""An evaluation as one HTML file: means with coverage, score by layer, select against holdout, intervals, pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from ...evals.score import Floors, Score
from ...evals.statistics.bootstrap import Interval
from ...evals.verdict import KEEP
from ...tools.files import atomic_file
from ...tools.files.untrusted_text import show_hidden
from ...tools.subject.address import Unit
from ..runlog.log import RunLog
from . import plots
from .plan import Evaluation, RescoredTarget
from .summary import (
    ScoreSummary,
    SourceComparison,
    compare_sources,
    find_score,
    score_kinds,
    score_summaries,
)

if TYPE_CHECKING:
    from jinja2 import Template

_STYLES = ("../review/static/tokens.css", "../review/static/figures.css", "evaluation.css")
"""Colours, type and plots look as on the review page."""
_FOLDER = Path(__file__).parent
_SMALLEST_P = 1e-12
"""Below this a fitted tail is an extrapolation that nobody should read digits of."""
TRUTH = "truth"
"""Event of a target of a bench: what is true of its explanation (`bench.planted`)."""
_FLOORS = ("shuffled", "other", "token_lookup", "trivial")
_HEADLINE = ("simulation", "random")


class _PlottedTarget(NamedTuple):
    """A target with one score."""

    row: RescoredTarget
    score: Score
    select: Score | None


class _ScoreRow(NamedTuple):
    """One score of a target."""

    name: str
    score: Score
    select: Score | None
    """The same on select, where the score is of holdout."""


class _SourceSection(NamedTuple):
    """What the page shows of one source."""

    evaluation: Evaluation
    figures: Sequence[ScoreSummary]
    rows: Sequence[tuple[RescoredTarget, Sequence[_ScoreRow]]]
    layer_plot: Markup
    drop_plot: Markup
    interval_plot: Markup
    truth_plot: Markup | None
    """For a bench of planted units that was held against the truth."""
    calls: int
    tokens: int
    reasons: Sequence[tuple[str, int]]


def write_page(evaluations: Sequence[Evaluation], out: Path) -> Path:
    """Write the page; returns its path."""
    out.parent.mkdir(parents=True, exist_ok=True)
    page = render(evaluations)
    with atomic_file(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def render(evaluations: Sequence[Evaluation]) -> str:
    """The page, self-contained: no script, no network."""
    compared: Sequence[SourceComparison] = compare_sources(evaluations)
    return _template().render(
        parts=[_part(evaluation) for evaluation in evaluations],
        compared=compared,
        style=Markup("".join((_FOLDER / sheet).read_text(encoding="utf-8") for sheet in _STYLES)),
    )


def format_number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where it is not known."""
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace(
        "-", "−"
    )  # + 0.0: no minus before a zero


def format_interval(value: Score | Interval | None) -> str:
    """``0.41 [0.33, 0.49]``."""
    if value is None:
        return "–"
    if value.low is None or value.high is None:
        return format_number(value.value)
    return f"{format_number(value.value)} [{format_number(value.low)}, {format_number(value.high)}]"


def format_p(p: float | None) -> str:
    """A p with two digits, or that it is smaller than anyone should read digits of."""
    if p is None:
        return "–"
    if p < _SMALLEST_P:
        return "< 1e−12"
    return (f"{p:.3f}" if p >= 0.001 else f"{p:.0e}").replace("-", "−")


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "number": format_number,
            "interval": format_interval,
            "probability": format_p,
            "visible": show_hidden,
        }
    )
    return environment.get_template("evaluation.html")


def _part(evaluation: Evaluation) -> _SourceSection:
    columns = score_kinds([evaluation])
    lines = _headline(evaluation)
    return _SourceSection(
        evaluation,
        score_summaries(evaluation),
        [(row, _shown(row, columns)) for row in evaluation.rows],
        plots.score_by_layer([_dot(line, by_layer=True) for line in lines], _levels(lines)),
        plots.select_against_holdout([_dot(line) for line in lines if line.select]),
        plots.intervals([_dot(line, by_layer=True) for line in lines], KEEP),
        _truth_plot(evaluation, lines),
        sum(row.cost.calls for row in evaluation.rows),
        sum(row.cost.input_tokens for row in evaluation.rows),
        _reasons(evaluation.rows),
    )


def _shown(row: RescoredTarget, columns: Sequence[tuple[str, str]]) -> list[_ScoreRow]:
    found = []
    for scorer, text in columns:
        score = _main(row, scorer, text)
        if score:
            name = (
                f"{scorer}, mix" if (scorer, text) == ("simulation", "top_and_random") else scorer
            )
            found.append(
                _ScoreRow(
                    name,
                    score,
                    find_score(row, scorer, text, "select") if score.split == "holdout" else None,
                )
            )
    return found


def _main(row: RescoredTarget, scorer: str, text: str) -> Score | None:
    return find_score(row, scorer, text, "holdout") or (
        None if "holdout" in row.outcomes else find_score(row, scorer, text, "select")
    )


def _headline(evaluation: Evaluation) -> list[_PlottedTarget]:
    """The targets with simulation on random text, the score that plots are of."""
    found = [(row, _main(row, *_HEADLINE)) for row in evaluation.rows]
    return [
        _PlottedTarget(row, score, find_score(row, *_HEADLINE, "select"))
        for row, score in found
        if score
    ]


def _dot(line: _PlottedTarget, by_layer: bool = False) -> plots.Dot:
    unit = Unit.parse(line.row.explanation.target)
    x = float(unit.layer) if by_layer or line.select is None else line.select.value
    verdict = line.row.run.get("verdict") or "inconclusive"
    label = f"{unit} {format_interval(line.score)} {line.row.explanation.sentence}"
    return plots.Dot(x, line.score.value, verdict, label, low=line.score.low, high=line.score.high)


def _truth_plot(evaluation: Evaluation, lines: Sequence[_PlottedTarget]) -> Markup | None:
    truth = RunLog(evaluation.source.folder, writable=False).targets(TRUTH)
    found = [
        (line, known["r_truth"])
        for line in lines
        if (known := truth.get(line.row.explanation.target))
    ]
    dots = [
        replace(_dot(line), x=line.score.value, y=r, low=None, high=None)
        for line, r in found
        if r is not None
    ]
    return plots.truth_against_score(dots) if dots else None


def _levels(lines: Sequence[_PlottedTarget]) -> list[plots.Level]:
    levels = []
    for layer in sorted({Unit.parse(line.row.explanation.target).layer for line in lines}):
        here = [
            line.score for line in lines if Unit.parse(line.row.explanation.target).layer == layer
        ]
        levels.append(
            plots.Level(layer, _mean([s.value for s in here]), "mean", f"layer {layer}: mean")
        )
        for name in _FLOORS:
            known = [v for s in here if (v := _floor(s.floors, name)) is not None]
            if known:
                levels.append(
                    plots.Level(layer, _mean(known), f"floor {name}", f"layer {layer}: {name}")
                )
    return levels


def _floor(floors: Floors, name: str) -> float | None:
    return floors.to_json()[name]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _reasons(rows: Sequence[RescoredTarget]) -> list[tuple[str, int]]:
    """Why scores are missing, and how often."""
    counted: dict[str, int] = {}
    for row in rows:
        for why in [
            *row.failures.values(),
            *row.skipped.values(),
            *([row.error] if row.error else []),
        ]:
            counted[why] = counted.get(why, 0) + 1
    return sorted(counted.items(), key=lambda pair: -pair[1])
