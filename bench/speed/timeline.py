"""Where the time of some commands goes, as one self-contained SVG: a stacked bar for each.

All bars have one scale; below them, bars that are too short to read on it are drawn again, enlarged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, MARGIN, TOP = 1000, 20, 76
BAR, GAP = 34, 66
"""Height of a bar, and from one bar's top to the next one's: the bar's title is above it."""
LEGEND_ROW, LEGEND_COLUMNS = 22, 4
ENLARGED_BELOW = 0.25
"""A bar of less than this share of the longest is drawn again over the whole width."""
INK, QUIET = "#1a1a1a", "#5c5c5c"
FILLS = (
    "#9a9a9a", "#2f6bd8", "#d97706", "#7a4fb5", "#0f8a6d", "#c2415d", "#4aa3c7", "#b0a022",
    "#6b4b2a", "#e08fb0", "#5f7f3f", "#334a7d", "#c9c9c9", "#8fd0b5",
)  # fmt: skip


class TimelineBar(NamedTuple):
    """One command: seconds by phase, in the order in which they begin."""

    title: str
    seconds: Mapping[str, float]

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())


def draw_timeline(title: str, bars: Sequence[TimelineBar]) -> str:
    """SVG text of the bars."""
    longest = max(bar.total for bar in bars)
    short = [bar for bar in bars if bar.total < ENLARGED_BELOW * longest]
    phases = list(dict.fromkeys(phase for bar in bars for phase in bar.seconds))
    fills = {phase: FILLS[i % len(FILLS)] for i, phase in enumerate(phases)}
    parts: list[str] = []
    y = TOP
    for bar in bars:
        parts += _bar(bar, longest, y, fills)
        y += GAP
    if short:
        scale = max(bar.total for bar in short)
        for bar in short:
            enlarged = bar._replace(title=f"{bar.title}, enlarged {longest / scale:.0f} times")
            parts += _bar(enlarged, scale, y, fills)
            y += GAP
    parts += _legend(fills, y)
    height = y + LEGEND_ROW * (-(-len(fills) // LEGEND_COLUMNS)) + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f"{_text(MARGIN, 32, title, 18, INK)}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(bar: TimelineBar, scale: float, y: float, fills: Mapping[str, str]) -> list[str]:
    """A bar whose whole width is `scale` seconds, with its title above it."""
    parts = [_text(MARGIN, y - 8, f"{bar.title}: {bar.total:,.1f} s", 14, INK)]
    x, unit = float(MARGIN), (WIDTH - 2 * MARGIN) / scale
    for phase, seconds in bar.seconds.items():
        width = seconds * unit
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{fills[phase]}">'
            f"<title>{escape(phase)}: {seconds:,.2f} s</title></rect>"
        )
        label = f"{phase} {seconds:,.1f}"
        if width > 7.5 * len(label):  # the widest letters of this size
            parts.append(_text(x + 6, y + BAR / 2 + 5, label, 12, "#ffffff"))
        x += width
    return parts


def _legend(fills: Mapping[str, str], y: float) -> list[str]:
    parts = []
    for number, (phase, fill) in enumerate(fills.items()):
        row, column = divmod(number, LEGEND_COLUMNS)
        x = MARGIN + column * (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
        top = y - 12 + row * LEGEND_ROW
        parts.append(f'<rect x="{x:.0f}" y="{top:.0f}" width="14" height="14" fill="{fill}"/>')
        parts.append(_text(x + 20, top + 12, phase, 13, QUIET))
    return parts


def _text(x: float, y: float, text: str, size: int, fill: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}">{escape(text)}</text>'
