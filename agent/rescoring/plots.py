"""Small plots as inline SVG: no library, no script, colours from the page's style sheet (so dark
mode and print work).

A verdict is a shape and a colour: kept a filled disc, inconclusive a ring, rejected a cross.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ...tools.files.untrusted_text import show_hidden

WIDTH, HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 10, 10, 40


@dataclass(frozen=True)
class Dot:
    """A point of a plot. ``low`` and ``high`` are its interval; ``label`` is read on hover."""

    x: float
    y: float
    verdict: str
    label: str
    link: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Level:
    """A short horizontal line over one place of the x axis: a mean or a floor. ``name`` is its style class."""

    x: float
    y: float
    name: str
    label: str


def score_by_layer(dots: Sequence[Dot], levels: Sequence[Level]) -> Markup:
    """Held-out r of each target over its layer, with the layer's mean and floors; ``x`` of both is the layer."""
    layers = sorted({dot.x for dot in dots} | {level.x for level in levels})
    low, high = _r_range([dot.y for dot in dots] + [level.y for level in levels])
    step = (WIDTH - _LEFT - _RIGHT) / max(len(layers), 1)
    place = {layer: _LEFT + step * (i + 0.5) for i, layer in enumerate(layers)}
    y = _scale(low, high, HEIGHT - _BOTTOM, _TOP)
    half = min(step * 0.36, 30)
    parts = [_y_axis(low, high, y, "held-out r")]
    parts += [
        _text(place[v], HEIGHT - _BOTTOM + 16, f"{v:g}", "tick mid") for v in _thinned(layers, 12)
    ]
    parts += [_text((_LEFT + WIDTH) / 2, HEIGHT - 6, "layer", "axis mid")]
    spread = _spread(dots, half * 0.8)
    parts += [_mark(place[dot.x] + dx, y(dot.y), dot) for dot, dx in zip(dots, spread, strict=True)]
    parts += [
        _line(place[v.x] - half, y(v.y), place[v.x] + half, y(v.y), v.name, v.label) for v in levels
    ]
    return _svg(parts, "Held-out score of each target by layer, with floors")


def select_against_holdout(dots: Sequence[Dot]) -> Markup:
    """r on holdout over r on select, with the diagonal where there is no drop."""
    return _against(dots, "select r", "holdout r", "Score on holdout against score on select")


def truth_against_score(dots: Sequence[Dot]) -> Markup:
    """r with the truth of planted units over held-out r: does a higher score mean more truth?"""
    return _against(
        dots,
        "held-out r",
        "r with the truth",
        "What is true of each planted unit against its score",
    )


def _against(dots: Sequence[Dot], across: str, up: str, title: str) -> Markup:
    low, high = _r_range([dot.y for dot in dots] + [dot.x for dot in dots])
    x, y = _scale(low, high, _LEFT, WIDTH - _RIGHT), _scale(low, high, HEIGHT - _BOTTOM, _TOP)
    parts = [_y_axis(low, high, y, up), _line(x(low), y(low), x(high), y(high), "threshold")]
    parts += [_text(x(v), HEIGHT - _BOTTOM + 16, f"{v:g}", "tick mid") for v in _ticks(low, high)]
    parts += [_text((_LEFT + WIDTH) / 2, HEIGHT - 6, across, "axis mid")]
    parts += [_mark(x(dot.x), y(dot.y), dot) for dot in dots]
    return _svg(parts, title)


def intervals(dots: Sequence[Dot], threshold: float) -> Markup:
    """Each target's interval, in the order of its value; the line is the threshold that a lower end has to reach."""
    ends = [v for dot in dots for v in (dot.y, dot.low, dot.high) if v is not None]
    low, high = _r_range([*ends, threshold])
    x = _scale(low, high, 2 * _RIGHT, WIDTH - 2 * _RIGHT)
    step = (HEIGHT - _BOTTOM - _TOP) / max(len(dots), 1)
    parts = [_line(x(v), _TOP, x(v), HEIGHT - _BOTTOM, "grid") for v in _ticks(low, high)]
    parts += [_text(x(v), HEIGHT - _BOTTOM + 16, f"{v:g}", "tick mid") for v in _ticks(low, high)]
    parts += [_line(x(threshold), _TOP, x(threshold), HEIGHT - _BOTTOM, "threshold")]
    parts += [_text(WIDTH / 2, HEIGHT - 6, "held-out r, 95 % interval", "axis mid")]
    for i, dot in enumerate(sorted(dots, key=lambda dot: -dot.y)):
        row = _TOP + step * (i + 0.5)
        if dot.low is not None and dot.high is not None:
            parts.append(
                _line(x(dot.low), row, x(dot.high), row, f"interval {dot.verdict}", dot.label)
            )
        parts.append(_mark(x(dot.y), row, dot, radius=min(3.5, max(1.2, step * 0.45))))
    return _svg(parts, "Held-out score of each target with its interval")


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (min(max(value, low), high) - low) / span


def _r_range(values: Sequence[float]) -> tuple[float, float]:
    """Whole fifths around all values, never less than 0 to 0.6, so that plots of weak runs do not look strong."""
    low = min(values, default=0.0)
    low = -0.05 if low > -0.05 else max(-1.0, -math.ceil(-low * 5) / 5)
    return low, min(1.0, math.ceil(max([*values, 0.58]) * 5) / 5)


def _ticks(low: float, high: float) -> list[float]:
    return [k / 5 for k in range(-5, 6) if low - 1e-9 <= k / 5 <= high + 1e-9]


def _thinned(values: Sequence[float], most: int) -> Sequence[float]:
    return values[:: -(-len(values) // most) or 1]


def _spread(dots: Sequence[Dot], half: float) -> list[float]:
    """Offsets that keep the dots of one place apart: evenly over its width, in the order of the golden ratio."""
    seen: dict[float, int] = {}
    offsets = []
    for dot in dots:
        seen[dot.x] = seen.get(dot.x, 0) + 1
        offsets.append(half * (2 * ((seen[dot.x] * 0.6180339887) % 1.0) - 1))
    return offsets


def _y_axis(low: float, high: float, y: Callable[[float], float], title: str) -> Markup:
    lines = [
        _line(_LEFT, y(v), WIDTH - _RIGHT, y(v), "zero" if v == 0 else "grid")
        for v in _ticks(low, high)
    ]
    labels = [_text(_LEFT - 6, y(v) + 4, f"{v:g}", "tick end") for v in _ticks(low, high)]
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    turned = Markup(
        '<text class="axis mid" transform="translate(11 {:.0f}) rotate(-90)">{}</text>'
    ).format(middle, title)
    return Markup("").join([*lines, *labels, turned])


def _mark(x: float, y: float, dot: Dot, radius: float = 3.5) -> Markup:
    if dot.verdict == "rejected":
        r = radius * 0.85
        path = f"M{x - r:.1f} {y - r:.1f}l{2 * r:.1f} {2 * r:.1f}m0 {-2 * r:.1f}l{-2 * r:.1f} {2 * r:.1f}"
        shape = Markup('<path class="mark rejected" d="{}">{}</path>').format(
            path, _title(dot.label)
        )
    else:
        shape = Markup(
            '<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>'
        ).format(dot.verdict, x, y, radius, _title(dot.label))
    return Markup('<a href="#{}">{}</a>').format(dot.link, shape) if dot.link else shape


def _line(x1: float, y1: float, x2: float, y2: float, name: str, label: str = "") -> Markup:
    place = Markup('x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"').format(x1, y1, x2, y2)
    return Markup('<line class="{}" {}>{}</line>').format(name, place, _title(label))


def _text(x: float, y: float, text: str, name: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(name, x, y, text)


def _title(label: str) -> Markup:
    return Markup("<title>{}</title>").format(show_hidden(label)) if label else Markup("")


def _svg(parts: Sequence[Markup], title: str) -> Markup:
    body = Markup("").join(parts)
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, escape(title), body)
