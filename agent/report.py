"""A run as one HTML file that reads without a network, without a script and on paper.

`render_report` is pure: data in (`report_data`), page out. The page is a Jinja template with autoescape
(`report.html`) and its style sheet (`report.css`), both inlined; token colours come from `heatmap`, pictures from
`plots`. With many targets it shows fewer contexts of each, so that 200 targets stay under 5 MB.

Held-out text of a target is shown only where the caller passes it as ``compared`` with ``compared_split="holdout"``;
opening it is an event of the log, and the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from ..evals.bootstrap import Interval
from ..evals.score import Score
from ..evals.verdict import KEEP
from . import plots
from .heatmap import AFTER, BEFORE, TokenMap, heat_html, scale_of, visible
from .report_data import (
    ExperimentReport,
    HypothesisReport,
    ReportData,
    RunReport,
    TargetReport,
    TokenWeight,
)
from .report_summary import Summary, summarise

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = [
    "ExperimentReport",
    "HypothesisReport",
    "ReportData",
    "RunReport",
    "TargetReport",
    "TokenMap",
    "TokenWeight",
    "render_report",
]

_FOLDER = Path(__file__).parent
_SMALLEST_P = 1e-12
"""Below this a fitted tail is an extrapolation that nobody should read digits of."""


class _Detail(NamedTuple):
    """How much of each target is shown. Bytes a target: about 35 k, 20 k, 14 k."""

    exemplars: int
    compared: int
    hypotheses: int
    experiments: int
    window: tuple[int, int]
    hover_all: bool
    open: bool


_FULL = _Detail(6, 6, 6, 12, (BEFORE, AFTER), True, True)
_SHORT = _Detail(5, 4, 4, 6, (BEFORE, AFTER), False, False)
_SHORTEST = _Detail(4, 3, 3, 4, (16, 5), False, False)


def render_report(data: ReportData) -> str:
    """The page."""
    detail = _FULL if len(data.targets) <= 40 else _SHORT if len(data.targets) <= 100 else _SHORTEST
    links = {id(target): f"t{i}" for i, target in enumerate(data.targets, 1)}
    units = [t for t in data.targets if t.kind == "unit"]
    return _template().render(
        run=data.run,
        summary=summarise(units),
        others=[(name, found) for name in ("null", "control") if (found := _summary_of(data, name))],
        units=[_view(t, links[id(t)], detail) for t in units],
        beside=[_view(t, links[id(t)], detail) for t in data.targets if t.kind != "unit"],
        layer_plot=plots.score_by_layer(_dots(units, links, by_layer=True), _levels(data.targets)),
        drop_plot=plots.select_against_holdout(_dots(units, links)),
        interval_plot=plots.intervals(_dots(units, links, by_layer=True), KEEP),
        detail=detail,
        style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
    )


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
    filters: Mapping[str, Callable[..., Any]] = {
        "number": number,
        "interval": interval,
        "probability": probability,
        "visible": visible,
        "percent": lambda value: f"{100 * value:.3g} %",  # 199 of 200 is not 100 %
        "prediction": prediction,
        "outcome": outcome,
    }
    environment.filters.update(filters)
    return environment.get_template("report.html")


# What the template shows of one target.


@dataclass(frozen=True)
class _Panel:
    """Heat maps on one scale."""

    title: str
    scale: str
    maps: Sequence[tuple[Markup, str]]
    """Tokens, and where the text is from."""


@dataclass(frozen=True)
class _Pair:
    """True and predicted activations of one context."""

    true: Markup
    predicted: Markup
    source: str


@dataclass(frozen=True)
class _View:
    target: TargetReport
    link: str
    holdout: Score | None
    select: Score | None
    mixed: Score | None
    bar: Markup
    panels: Sequence[_Panel]
    pairs: Sequence[_Pair]
    pair_scales: tuple[str, str]
    experiments: tuple[int, int]
    """For and against, over all hypotheses."""


def _view(target: TargetReport, link: str, detail: _Detail) -> _View:
    outcomes = [e.outcome for h in target.hypotheses for e in h.experiments]
    holdout = target.score("holdout")
    pairs, scales = _pairs(target.compared[: detail.compared], detail)
    return _View(
        target=target,
        link=link,
        holdout=holdout,
        select=target.score("select"),
        mixed=target.score("holdout", "top_and_random"),
        bar=_bar(holdout, target.verdict or "") if holdout else Markup(""),
        panels=_panels(target, detail),
        pairs=pairs,
        pair_scales=scales,
        experiments=(outcomes.count("for"), outcomes.count("against")),
    )


def _panels(target: TargetReport, detail: _Detail) -> list[_Panel]:
    sides = (("Positive side", target.positive), ("Negative side", target.negative))
    return [_panel(title, maps[: detail.exemplars], detail) for title, maps in sides if maps]


def _panel(title: str, maps: Sequence[TokenMap], detail: _Detail) -> _Panel:
    scale = scale_of(m.values for m in maps)
    shown = [(_heat(m, scale, detail), m.source) for m in maps]
    return _Panel(title, f"{scale:.3g}", shown)


def _pairs(maps: Sequence[TokenMap], detail: _Detail) -> tuple[list[_Pair], tuple[str, str]]:
    true, predicted = scale_of(m.values for m in maps), scale_of(m.predicted or () for m in maps)
    pairs = [_Pair(_heat(m, true, detail), _heat(m, predicted, detail, predicted=True), m.source) for m in maps]
    return pairs, (f"{true:.3g}", f"{predicted:.3g}")


def _heat(shown: TokenMap, scale: float, detail: _Detail, predicted: bool = False) -> Markup:
    return heat_html(shown, scale, predicted=predicted, window=detail.window, hover_all=detail.hover_all)


def _bar(score: Score, verdict: str) -> Markup:
    return plots.interval_bar(score.value, score.low, score.high, verdict, _floor_ticks(score, 0.0))


# What the plots show.

_FLOORS = {
    "token_lookup": "token lookup",
    "trivial": "trivial",
    "other": "other unit's explanation",
    "shuffled": "shuffled",
}


def _floor_ticks(score: Score, x: float) -> list[plots.Level]:
    known = {name: getattr(score.floors, name) for name in _FLOORS}
    return [plots.Level(x, v, f"floor {n}", f"{_FLOORS[n]} {v:.2f}") for n, v in known.items() if v is not None]


def _dots(targets: Sequence[TargetReport], links: Mapping[int, str], by_layer: bool = False) -> list[plots.Dot]:
    dots = []
    for target in targets:
        holdout, select = target.score("holdout"), target.score("select")
        if holdout is None or (select is None and not by_layer):
            continue
        x = float(target.layer) if by_layer or select is None else select.value
        label = f"{target.target} {interval(holdout)} {target.verdict or ''}"
        dots.append(
            plots.Dot(x, holdout.value, target.verdict or "", label, links[id(target)], holdout.low, holdout.high)
        )
    return dots


def _levels(targets: Sequence[TargetReport]) -> list[plots.Level]:
    levels = []
    for layer in sorted({t.layer for t in targets}):
        here = [t for t in targets if t.layer == layer]
        levels += _layer_levels(layer, summarise([t for t in here if t.kind == "unit"]))
        control = summarise([t for t in here if t.kind == "control"])
        if control.r:
            levels.append(
                plots.Level(layer, control.r.value, "control", f"layer {layer}: controls {control.r.value:.2f}")
            )
    return levels


def _layer_levels(layer: int, summary: Summary) -> list[plots.Level]:
    if summary.r is None:
        return []
    levels = [plots.Level(layer, summary.r.value, "mean", f"layer {layer}: mean r {summary.r.value:.2f}")]
    for name, title in _FLOORS.items():
        value = getattr(summary.floors, name)
        if value is not None:
            levels.append(plots.Level(layer, value, f"floor {name}", f"layer {layer}: {title} {value:.2f}"))
    return levels


def _summary_of(data: ReportData, kind: str) -> Summary | None:
    found = [t for t in data.targets if t.kind == kind]
    return summarise(found) if found else None


# Numbers and sentences.


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where it is not known."""
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no minus before a zero


def interval(value: Score | Interval | None) -> str:
    """``0.41 [0.33, 0.49]``."""
    if value is None:
        return "–"
    if value.low is None or value.high is None:
        return number(value.value)
    return f"{number(value.value)} [{number(value.low)}, {number(value.high)}]"


def probability(p: float | None) -> str:
    """A p with two digits, or that it is smaller than anyone should read digits of."""
    if p is None:
        return "–"
    if p < _SMALLEST_P:
        return "< 1e−12"
    return (f"{p:.3f}" if p >= 0.001 else f"{p:.0e}").replace("-", "−")


_EFFECTS = {
    "kl": "Largest KL of ablating the unit",
    "rank": "Rank among the tokens that the unit promotes",
    "logprob": "Change of a next token's log-probability under steering",
    "logit_difference": "Change of a logit difference under patching",
}


def prediction(experiment: ExperimentReport) -> str:
    """What was written down before the call."""
    side = {"+": "positive ", "-": "negative "}.get(experiment.side, "")
    activation = f"{'Strongest' if experiment.quantity == 'max' else 'Mean'} {side}activation"
    subject = _EFFECTS.get(experiment.quantity, activation)
    match experiment.relation:
        case "fires":
            return f"{subject} reaches the 90th percentile of explore"
        case "silent":
            return f"{subject} stays below the median of explore"
        case "greater":
            return f"{subject} is higher than on text B"
        case "within":
            low, high = experiment.bounds or (None, None)
            return f"{subject} lies in [{number(low)}, {number(high)}]"
        case "raises" | "lowers":
            return f"{subject} is {'above' if experiment.relation == 'raises' else 'below'} 0"


def outcome(experiment: ExperimentReport) -> str:
    """What was seen, and what it was held against."""
    if experiment.observed is None:
        return "nothing to read"
    held = experiment.compared
    if held is None:
        return f"observed {number(experiment.observed)}"
    against = number(held) if isinstance(held, int | float) else f"[{', '.join(number(v) for v in held)}]"
    return f"observed {number(experiment.observed)}, held against {against}"
