"""Token heat maps, the one renderer for reports, review page and terminal.

Orange is positive, blue negative (told apart by people with any of the common colour deficiencies, and on paper the
sign is in the hover text and the peak in bold). A token's strength is one of eight steps of a scale that the caller
gives, so that maps that stand side by side share it. Position 0 of a context, which no score counts, is grey.

Corpus text is hostile: everything is escaped, and characters that a page or terminal would obey instead of showing
(control characters, direction changes, zero-width ones, lone surrogates) are replaced by something visible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from rich.text import Text

STEPS = 8
BEFORE, AFTER = 22, 7
"""Tokens shown before and after the peak: what a causal model's unit responds to stands before it."""

_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_ORANGE, _BLUE = (217, 119, 6), (37, 99, 235)


@dataclass(frozen=True)
class TokenMap:
    """One context: its tokens, one value a token, and optionally what an explanation predicts there."""

    tokens: Sequence[str]
    values: Sequence[float]
    predicted: Sequence[float] | None = None
    peak: int | None = None
    """The token that the map is about; the window is cut around it. None takes the strongest."""
    source: str = ""
    """Where the text is from, for a person: a document's name or id."""

    @property
    def centre(self) -> int:
        """The peak, or the strongest scored token."""
        if self.peak is not None:
            return self.peak
        return max(range(len(self.values)), key=lambda i: (i > 0, _size(self.values[i])), default=0)


class _Cell(NamedTuple):
    text: str
    value: float
    step: int
    """-8 to 8; 0 is too weak for a colour."""
    scored: bool
    peak: bool


def scale_of(series: Iterable[Sequence[float]]) -> float:
    """The largest absolute value over several series, position 0 left out: what full colour stands for."""
    return max((_size(v) for values in series for v in values[1:]), default=0.0)


def heat_html(
    shown: TokenMap,
    scale: float,
    *,
    predicted: bool = False,
    window: tuple[int, int] | None = (BEFORE, AFTER),
    hover_all: bool = True,
) -> Markup:
    """Spans of coloured tokens, to stand in an element of class ``heat``.

    Args:
        scale: the value of full colour; see `scale_of`.
        predicted: colour by the prediction instead of the values.
        window: tokens before and after the peak, or None for the whole context.
        hover_all: give the value of every token on hover, and not only of coloured ones (half as many bytes).
    """
    return Markup("").join(_span(cell, hover_all) for cell in _cells(shown, scale, predicted, window))


def heat_text(
    shown: TokenMap, scale: float, *, predicted: bool = False, window: tuple[int, int] | None = (BEFORE, AFTER)
) -> Text:
    """The same for a terminal."""
    from rich.text import Text

    text = Text()
    for cell in _cells(shown, scale, predicted, window):
        text.append(cell.text, style=_style(cell))
    return text


def visible(text: str) -> str:
    """Text in which nothing is hidden: ⏎, ⇥, and for anything else its code point."""
    return _INVISIBLE.sub(lambda match: _picture(match[0]), text)


def _picture(character: str) -> str:
    return {"\n": "⏎", "\t": "⇥"}.get(character) or f"‹U+{ord(character):04X}›"


def _cells(shown: TokenMap, scale: float, predicted: bool, window: tuple[int, int] | None) -> Iterator[_Cell]:
    values = shown.predicted if predicted and shown.predicted is not None else shown.values
    first, last = 0, len(shown.tokens)
    if window is not None:
        first, last = max(0, shown.centre - window[0]), min(last, shown.centre + window[1] + 1)
    if first:
        yield _Cell("… ", math.nan, 0, False, False)
    for i in range(first, last):
        step = _step(values[i], scale) if i else 0
        yield _Cell(visible(shown.tokens[i]), values[i], step, i > 0, i == shown.centre and not predicted)
    if last < len(shown.tokens):
        yield _Cell(" …", math.nan, 0, False, False)


def _step(value: float, scale: float) -> int:
    if not scale > 0 or not math.isfinite(value):
        return 0
    return round(math.copysign(STEPS * min(abs(value) / scale, 1.0), value))


def _size(value: float) -> float:
    return abs(value) if math.isfinite(value) else 0.0


def _span(cell: _Cell, hover_all: bool) -> Markup:
    if not cell.scored:
        return Markup("<span class=o>{}</span>").format(cell.text)
    if cell.step == 0 and not cell.peak and not hover_all:
        return escape(cell.text)
    word = cell.text.lstrip(" ")
    space = cell.text[: len(cell.text) - len(word)]  # a coloured box begins at the word
    if not word and (cell.step or cell.peak):
        space, word = "", "␣" * len(space)  # but a coloured token of spaces has to be seen
    classes = [name for name in (_class(cell.step), "k" if cell.peak else "") if name]
    marked = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup("")
    return Markup("{}<i{} title={}>{}</i>").format(space, marked, _number(cell.value), word)


def _class(step: int) -> str:
    return f"{'p' if step > 0 else 'n'}{abs(step)}" if step else ""


def _number(value: float) -> str:
    return f"{value:+.3g}" if math.isfinite(value) else "unknown"


def _style(cell: _Cell) -> str:
    if not cell.scored:
        return "dim"
    weight = "bold " if cell.peak else ""
    if cell.step == 0:
        return weight.strip()
    share = 0.25 + 0.75 * abs(cell.step) / STEPS  # from a tint that can still be seen on black to the full colour
    red, green, blue = (round(share * part) for part in (_ORANGE if cell.step > 0 else _BLUE))
    return f"{weight}white on rgb({red},{green},{blue})"
