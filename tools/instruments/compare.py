"""Two texts token by token: where a unit's activation differs, and which substitution changed it.

1. Align the tokens (`text_alignment`), read the unit on both texts, and take the difference of each
   pair. Position 0, an attention sink, does not count.
2. At the pair that differs most, test each substitution by itself: what is the activation there
   when only this one is made in the first text, and when only this one is undone in the second?
   Both are runs of the subject, not estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ArgumentError
from ..subject.address import Unit
from ..subject.input_texts import InputText, pad_token_ids, tokenize_texts
from ..subject.token_text import join_tokens
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens, quote_text
from .text_alignment import Stretch, align_tokens

if TYPE_CHECKING:
    from ..subject import Subject

MAX_SUBSTITUTIONS = 12
"""Tried one by one; each costs two rows, and texts that differ in more say little about any."""
N_SHOWN = 6
"""Differences that a rendering lists."""


@dataclass(frozen=True)
class AlignedTokens:
    """Tokens that correspond; without a partner its fields are None, and so is the difference."""

    token: str | None
    other_token: str | None
    activation: float | None
    other_activation: float | None
    difference: float | None


@dataclass(frozen=True)
class Substitution:
    """One change between the texts.

    Attributes:
        alone: the activation at the pair that differs most, with only this change in the first text.
        undone: the same, with only this change undone in the second text.
    """

    removed: str
    inserted: str
    alone: float
    undone: float


@dataclass(frozen=True)
class TextComparison(Result):
    """A unit on two texts.

    Attributes:
        pairs: in the order of the second text; `difference` is second minus first.
        largest: index of the pair that differs most.
    """

    unit: str
    text: str
    other: str
    pairs: list[AlignedTokens]
    largest: int
    substitutions: list[Substitution]

    def render(self) -> str:
        differing = [pair for pair in self.pairs if pair.difference is not None]
        differing.sort(key=lambda pair: -abs(pair.difference or 0))
        lines = [
            f"{self.unit} A {_activation_line(self.pairs, other=False)}",
            f"{self.unit} B {_activation_line(self.pairs, other=True)}",
            "largest differences, A to B:",
        ]
        lines += [
            f"  {_tokens(p)} {p.activation:+.3g} → {p.other_activation:+.3g} ({p.difference:+.3g})"
            for p in differing[:N_SHOWN]
        ]
        if len(self.substitutions) > 1:
            peak = self.pairs[self.largest]
            values = f"A has {peak.activation:+.3g} and B {peak.other_activation:+.3g}"
            lines.append(f"at {_tokens(peak)}, where {values}:")
            lines += [
                f'  "{quote_text(change.removed)}" → "{quote_text(change.inserted)}": '
                f"alone {change.alone:+.3g}; all others alone {change.undone:+.3g}"
                for change in self.substitutions
            ]
        return "\n".join(lines)


def _activation_line(pairs: Sequence[AlignedTokens], *, other: bool) -> str:
    """One of the texts with its active tokens marked, on the scale of both."""
    sides = [
        (p.other_token, p.other_activation) if other else (p.token, p.activation) for p in pairs
    ]
    present = [(token, value or 0.0) for token, value in sides if token is not None]
    tokens, values = [token for token, _ in present], [value for _, value in present]
    counted = values[1:] or values
    scale = max(abs(v) for p in pairs for v in (p.activation, p.other_activation) if v is not None)
    marked = mark_active_tokens(tokens, [abs(value) for value in values], scale)
    return f"max {max(counted):+.3g}, min {min(counted):+.3g} | {marked}"


def _tokens(pair: AlignedTokens) -> str:
    token, other = (f'"{quote_text(text or "")}"' for text in (pair.token, pair.other_token))
    return token if token == other else f"{token}/{other}"


class _AlignedTexts(NamedTuple):
    """Two texts and the stretches of tokens that are the same in both or substituted."""

    text: InputText
    other: InputText
    stretches: list[Stretch]


@instrument("compare", needs=("subject",))
def compare(
    context: InstrumentContext, unit: UnitAddress, text: Text, other: Text
) -> TextComparison:
    """Compare a unit on two texts token by token, and find which change made the difference.

    Texts are aligned by their tokens, also when their lengths differ. Best for minimal pairs: the
    same context with another trigger, the same trigger in another context. Where they differ in
    several places, each change is tried alone. The first token of a text never counts: begin with a
    neutral word.
    """

    address, subject = Unit.parse(unit), context.require_subject()
    first, second = tokenize_texts(subject, [text, other])
    aligned = _AlignedTexts(first, second, align_tokens(first.ids, second.ids))
    if all(stretch.same for stretch in aligned.stretches):
        raise ArgumentError(
            "compare: the two texts have the same tokens; change one thing in `other`"
        )
    values, other_values = _read(subject, address, [first, second])
    positions = [(i, j) for stretch in aligned.stretches for i, j in stretch.pairs if i and j]
    if not positions:
        raise ArgumentError(
            "compare: no tokens but the first correspond; give texts that differ in one thing"
        )
    peak = max(positions, key=lambda pair: abs(other_values[pair[1]] - values[pair[0]]))
    rows = _pairs(aligned, values, other_values)
    largest = next(n for n, (i, j, _) in enumerate(rows) if (i, j) == peak)
    substitutions = _substitutions(subject, address, aligned, peak)
    pairs = [pair for _, _, pair in rows]
    return TextComparison(str(address), text, other, pairs, largest, substitutions)


def _read(subject: Subject, unit: Unit, texts: Sequence[InputText]) -> list[list[float]]:
    """The unit's signal on each text, all in one batch."""
    raw = subject.unit_activations(pad_token_ids(texts), [unit.unsided])[0].float().cpu().numpy()
    return [rounded(unit.signal(raw[row, : len(text.ids)])) for row, text in enumerate(texts)]


def _pairs(
    aligned: _AlignedTexts, values: Sequence[float], other_values: Sequence[float]
) -> list[tuple[int | None, int | None, AlignedTokens]]:
    """Positions in both texts and what is there; in each stretch first the tokens without a partner."""
    tokens, other_tokens = aligned.text.tokens, aligned.other.tokens
    rows: list[tuple[int | None, int | None, AlignedTokens]] = []
    for stretch in aligned.stretches:
        n = len(stretch.pairs)
        for i in range(stretch.start, stretch.end - n):
            rows.append((i, None, AlignedTokens(tokens[i], None, values[i], None, None)))
        for j in range(stretch.other_start, stretch.other_end - n):
            rows.append(
                (None, j, AlignedTokens(None, other_tokens[j], None, other_values[j], None))
            )
        for i, j in stretch.pairs:
            value, other = values[i], other_values[j]
            (difference,) = rounded([other - value]) if i and j else (None,)
            pair = AlignedTokens(tokens[i], other_tokens[j], value, other, difference)
            rows.append((i, j, pair))
    return rows


def _substitutions(
    subject: Subject, unit: Unit, aligned: _AlignedTexts, peak: tuple[int, int]
) -> list[Substitution]:
    """Each change by itself: the only one made in the first text, the only one undone in the second."""
    changed = [n for n, stretch in enumerate(aligned.stretches) if not stretch.same]
    tried = changed[:MAX_SUBSTITUTIONS]
    alone = [{n} for n in tried]
    undone = [set(changed) - {n} for n in tried]
    mixtures = [_mix(aligned, from_other, peak) for from_other in alone + undone]
    signals = _read(subject, unit, [InputText.of_ids(mixture.ids) for mixture in mixtures])
    values = [row[mixture.peak] for row, mixture in zip(signals, mixtures, strict=True)]
    return [
        Substitution(
            join_tokens(aligned.text.tokens[stretch.start : stretch.end]),
            join_tokens(aligned.other.tokens[stretch.other_start : stretch.other_end]),
            values[place],
            values[len(tried) + place],
        )
        for place, stretch in enumerate(aligned.stretches[n] for n in tried)
    ]


class _Mixture(NamedTuple):
    """The first text with some stretches of the second, and where the pair at the peak is in it."""

    ids: list[int]
    peak: int


def _mix(aligned: _AlignedTexts, from_other: set[int], peak: tuple[int, int]) -> _Mixture:
    ids: list[int] = []
    position = 0
    for n, stretch in enumerate(aligned.stretches):
        if n in from_other:
            source, start, end = aligned.other.ids, stretch.other_start, stretch.other_end
        else:
            source, start, end = aligned.text.ids, stretch.start, stretch.end
        if peak in stretch.pairs:
            position = len(ids) + (peak[1] if n in from_other else peak[0]) - start
        ids += source[start:end]
    return _Mixture(ids, position)
