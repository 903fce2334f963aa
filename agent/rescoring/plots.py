"""Small plots as inline SVG, in the style of the review page's (`review/static/plots.js`).

There is no script, so the page can be mailed and printed. Colours come from `figures.css`, so dark
mode and print work. A verdict is a shape and a colour: kept a filled disc, inconclusive a ring,
rejected a cross.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ...tools.files.untrusted_text import escape_control

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 42, WIDTH - 10, 10, HEIGHT - 40
"""Edges of the plotting area."""
GOLDEN = 0.6180339887

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Dot:
    """A point of a plot. ``low`` and ``high`` are its interval; ``label`` is read on hover."""

    x: float
    y: float
    verdict: str
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Level:
    """A short horizontal line at one place of the x axis: a mean or a floor."""

    x: float
    y: float
    css_class: str
    label: str


def score_by_layer(dots: Sequence[Dot], levels: Sequence[Level]) -> Markup:
    """Held-out r of each target over its layer (``x``), with the layer's mean and floors."""
    layers = sorted({dot.x for dot in dots} | {level.x for level in levels})
    low, high = _r_range([point.y for point in (*dots, *levels)])
    step = (RIGHT - LEFT) / max(len(layers), 1)
    half = min(step * 0.36, 30)
    x = {layer: LEFT + step * (i + 0.5) for i, layer in enumerate(layers)}
    y = _scale(low, high, BOTTOM, TOP)
    every = -(-len(layers) // 12) or 1  # room for a dozen labels
    parts = [_y_axis(low, high, y, "held-out r")]
    parts += _x_axis(layers[::every], x.__getitem__, "layer")
    seen: dict[float, int] = {}
    for dot in dots:
        # multiples of the golden ratio keep the dots of one layer apart, however many they are
        seen[dot.x] = seen.get(dot.x, 0) + 1
        offset = 2 * (seen[dot.x] * GOLDEN % 1.0) - 1
        parts.append(_mark(x[dot.x] + half * 0.8 * offset, y(dot.y), dot))
    for level in levels:
        start, height = x[level.x] - half, y(level.y)
        parts.append(_line(start, height, start + 2 * half, height, level.css_class, level.label))
    return _svg(parts, "Held-out score of each target by layer, with floors")


def scatter(dots: Sequence[Dot], x_title: str, y_title: str, title: str) -> Markup:
    """One correlation over another, with the diagonal where both are the same."""
    low, high = _r_range([value for dot in dots for value in (dot.x, dot.y)])
    x, y = _scale(low, high, LEFT, RIGHT), _scale(low, high, BOTTOM, TOP)
    parts = [_y_axis(low, high, y, y_title)]
    parts += _x_axis(_ticks(low, high), x, x_title)
    parts += [_line(x(low), y(low), x(high), y(high), "threshold")]
    parts += [_mark(x(dot.x), y(dot.y), dot) for dot in dots]
    return _svg(parts, title)


def intervals(dots: Sequence[Dot], threshold: float) -> Markup:
    """Each target's interval, in order of its value, with the threshold for keeping it."""
    ends = [end for dot in dots for end in (dot.y, dot.low, dot.high) if end is not None]
    low, high = _r_range([*ends, threshold])
    x = _scale(low, high, 20, WIDTH - 20)  # no y axis: there is room on the left
    step = (BOTTOM - TOP) / max(len(dots), 1)
    parts = [_line(x(v), TOP, x(v), BOTTOM, "grid") for v in _ticks(low, high)]
    parts += _x_axis(_ticks(low, high), x, "held-out r, 95 % interval", WIDTH / 2)
    parts += [_line(x(threshold), TOP, x(threshold), BOTTOM, "threshold")]
    for i, dot in enumerate(sorted(dots, key=lambda dot: -dot.y)):
        y = TOP + step * (i + 0.5)
        if dot.low is not None and dot.high is not None:
            css_class = f"interval {dot.verdict}"
            parts.append(_line(x(dot.low), y, x(dot.high), y, css_class, dot.label))
        parts.append(_mark(x(dot.y), y, dot, radius=min(3.5, max(1.2, step * 0.45))))
    return _svg(parts, "Held-out score of each target with its interval")


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    """A linear map of [low, high] to [start, end], clipped."""
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (min(max(value, low), high) - low) / span


def _r_range(values: Sequence[float]) -> tuple[float, float]:
    """Whole fifths around all values, at least 0 to 0.6, so that weak scores do not look strong."""
    low, high = min(values, default=0.0), max([*values, 0.58])
    low = -0.05 if low > -0.05 else max(-1.0, -math.ceil(-low * 5) / 5)
    return low, min(1.0, math.ceil(high * 5) / 5)


def _ticks(low: float, high: float) -> list[float]:
    return [k / 5 for k in range(-5, 6) if low - 1e-9 <= k / 5 <= high + 1e-9]


def _x_axis(
    ticks: Iterable[float], x: Scale, title: str, middle: float = (LEFT + WIDTH) / 2
) -> list[Markup]:
    labels = [_text(x(tick), BOTTOM + 16, f"{tick:g}", "tick mid") for tick in ticks]
    return [*labels, _text(middle, HEIGHT - 6, title, "axis mid")]


def _y_axis(low: float, high: float, y: Scale, title: str) -> Markup:
    parts = []
    for tick in _ticks(low, high):
        parts.append(_line(LEFT, y(tick), RIGHT, y(tick), "grid" if tick else "zero"))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:g}", "tick end"))
    turn = f"translate(11 {(TOP + BOTTOM) / 2:.0f}) rotate(-90)"
    parts.append(Markup('<text class="axis mid" transform="{}">{}</text>').format(turn, title))
    return Markup("").join(parts)


def _mark(x: float, y: float, dot: Dot, radius: float = 3.5) -> Markup:
    if dot.verdict == "rejected":
        r = radius * 0.85
        d = 2 * r
        cross = f"M{x - r:.1f} {y - r:.1f}l{d:.1f} {d:.1f}m0 {-d:.1f}l{-d:.1f} {d:.1f}"
        path = Markup('<path class="mark rejected" d="{}">{}</path>')
        return path.format(cross, _title(dot.label))
    circle = Markup('<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>')
    return circle.format(dot.verdict, x, y, radius, _title(dot.label))


def _line(x1: float, y1: float, x2: float, y2: float, css_class: str, label: str = "") -> Markup:
    line = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}">{}</line>')
    return line.format(css_class, x1, y1, x2, y2, _title(label))


def _text(x: float, y: float, text: str, css_class: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(css_class, x, y, text)


def _title(label: str) -> Markup:
    return Markup("<title>{}</title>").format(escape_control(label)) if label else Markup("")


def _svg(parts: Sequence[Markup], title: str) -> Markup:
    svg = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return svg.format(WIDTH, HEIGHT, escape(title), Markup("").join(parts))
