"""Two texts token by token: where a unit's activation differs, and which substitution changed it.

1. Align the tokens (`alignment`), read the unit on both texts, and take the difference of each
   pair; position 0, an attention sink, does not count.
2. At the pair that differs most, ask of each substitution by itself: what is the activation there
   when it alone is made in the first text, and when it alone is undone in the second? Both are runs
   of the subject, no estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from .input_texts import TokenizedText, pad_token_ids, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens, quote_text
from .text_alignment import Stretch, align_tokens

if TYPE_CHECKING:
    from ..subject import Subject, Unit

MOST_SUBSTITUTIONS = 12
"""Tried one by one; each costs two passes, and texts that differ in more say little about any."""
SHOWN = 6


@dataclass(frozen=True)
class AlignedTokens:
    """Tokens that correspond. Of a token without a partner the other side is None, and so is the difference."""

    token: str | None
    other_token: str | None
    activation: float | None
    other_activation: float | None
    difference: float | None


@dataclass(frozen=True)
class Substitution:
    """One change between the texts.

    Attributes:
        alone: the activation at the pair that differs most when this change alone is made in the first text.
        undone: the same when this change alone is undone in the second.
    """

    removed: str
    inserted: str
    alone: float
    undone: float


@dataclass(frozen=True)
class TextComparison(Result):
    """A unit on two texts.

    Attributes:
        pairs: in the order of the second text; difference is second minus first.
        largest: which pair differs most.
    """

    unit: str
    text: str
    other: str
    pairs: list[AlignedTokens]
    largest: int
    substitutions: list[Substitution]

    def render(self) -> str:
        first, second = (_line(self.pairs, other) for other in (False, True))
        counted = [pair for pair in self.pairs if pair.difference is not None]
        most = sorted(counted, key=lambda pair: -abs(pair.difference or 0))[:SHOWN]
        lines = [
            f"{self.unit} A {first}",
            f"{self.unit} B {second}",
            "largest differences, A to B:",
        ]
        lines += [
            f"  {_tokens(p)} {p.activation:+.3g} → {p.other_activation:+.3g} ({p.difference:+.3g})"
            for p in most
        ]
        if len(self.substitutions) > 1:
            peak = self.pairs[self.largest]
            head = f"at {_tokens(peak)}, where A has {peak.activation:+.3g} and B {peak.other_activation:+.3g}:"
            lines += [head, *(f"  {_told(s)}" for s in self.substitutions)]
        return "\n".join(lines)


def _line(pairs: Sequence[AlignedTokens], other: bool) -> str:
    sides = [
        (p.other_token, p.other_activation) if other else (p.token, p.activation) for p in pairs
    ]
    there = [(token, value or 0.0) for token, value in sides if token is not None]
    values = [value for _, value in there]
    counted = values[1:] or values
    both = [abs(v) for p in pairs for v in (p.activation, p.other_activation) if v is not None]
    shown = mark_active_tokens([t for t, _ in there], [abs(v) for v in values], max(both))
    return f"max {max(counted):+.3g}, min {min(counted):+.3g} | {shown}"


def _tokens(pair: AlignedTokens) -> str:
    one, two = (f'"{quote_text(token or "")}"' for token in (pair.token, pair.other_token))
    return one if one == two else f"{one}/{two}"


def _told(change: Substitution) -> str:
    removed, inserted = quote_text(change.removed), quote_text(change.inserted)
    return f'"{removed}" → "{inserted}": alone {change.alone:+.3g}; all others alone {change.undone:+.3g}'


@instrument("compare", needs=("subject",))
def compare(
    context: InstrumentContext, unit: UnitAddress, text: Text, other: Text
) -> TextComparison:
    """A unit on two texts token by token, and which change made the difference.

    Texts are aligned by their tokens, also when their lengths differ. Best for minimal pairs: the
    same context with another trigger, the same trigger in another context. Where they differ in
    several places, each change is tried alone. The first token of a text never counts: begin with a
    neutral word.
    """
    from ..subject import Unit

    address, subject = Unit.parse(unit), context.require_subject()
    one, two = tokenize_texts(subject, [text, other])
    found = align_tokens(one.ids, two.ids)
    if all(stretch.same for stretch in found):
        raise ArgumentError(
            "compare: the two texts have the same tokens; change one thing in `other`"
        )
    values, other_values = _read(subject, address, [one, two])
    listed = list(_pairs(found, one, two, values, other_values))
    compared = [(i, j) for stretch in found for i, j in stretch.pairs if i and j]
    if not compared:
        raise ArgumentError(
            "compare: no tokens but the first correspond; give texts that differ in one thing"
        )
    at = max(compared, key=lambda pair: abs(other_values[pair[1]] - values[pair[0]]))
    largest = next(n for n, (i, j, _) in enumerate(listed) if (i, j) == at)
    changes = _substitutions(subject, address, found, one, two, at)
    return TextComparison(
        str(address), text, other, [pair for _, _, pair in listed], largest, changes
    )


def _read(subject: Subject, unit: Unit, texts: Sequence[TokenizedText]) -> list[list[float]]:
    raw = subject.unit_activations(pad_token_ids(texts), [unit.unsided])[0].float().cpu().numpy()
    return [rounded(unit.signal(raw[row, : len(text.ids)])) for row, text in enumerate(texts)]


def _pairs(
    found: Sequence[Stretch],
    one: TokenizedText,
    two: TokenizedText,
    values: Sequence[float],
    other_values: Sequence[float],
) -> list[tuple[int | None, int | None, AlignedTokens]]:
    """Positions and what is there: first what has no partner, then the pairs, stretch by stretch."""
    listed: list[tuple[int | None, int | None, AlignedTokens]] = []
    for stretch in found:
        together = stretch.pairs
        for i in range(stretch.start, stretch.end - len(together)):
            listed.append((i, None, AlignedTokens(one.tokens[i], None, values[i], None, None)))
        for j in range(stretch.other_start, stretch.other_end - len(together)):
            listed.append(
                (None, j, AlignedTokens(None, two.tokens[j], None, other_values[j], None))
            )
        for i, j in together:
            (difference,) = rounded([other_values[j] - values[i]]) if i and j else (None,)
            listed.append(
                (
                    i,
                    j,
                    AlignedTokens(
                        one.tokens[i], two.tokens[j], values[i], other_values[j], difference
                    ),
                )
            )
    return listed


def _substitutions(
    subject: Subject,
    unit: Unit,
    found: list[Stretch],
    one: TokenizedText,
    two: TokenizedText,
    at: tuple[int, int],
) -> list[Substitution]:
    """Each change by itself: made alone in the first text, and undone alone in the second."""
    changed = [n for n, stretch in enumerate(found) if not stretch.same][:MOST_SUBSTITUTIONS]
    made = [{n} for n in changed] + [
        {m for m, s in enumerate(found) if not s.same and m != n} for n in changed
    ]
    mixed = [_mixture(found, one.ids, two.ids, chosen, at) for chosen in made]
    read = _read(subject, unit, [TokenizedText("", ids, [], []) for ids, _ in mixed])
    values = [row[position] for row, (_, position) in zip(read, mixed, strict=True)]
    alone, undone = values[: len(changed)], values[len(changed) :]
    return [
        Substitution(
            "".join(one.tokens[found[n].start : found[n].end]),
            "".join(two.tokens[found[n].other_start : found[n].other_end]),
            alone[place],
            undone[place],
        )
        for place, n in enumerate(changed)
    ]


def _mixture(
    found: Sequence[Stretch],
    text: list[int],
    other: list[int],
    chosen: set[int],
    at: tuple[int, int],
) -> tuple[list[int], int]:
    """The first text with the chosen stretches taken from the second, and where the pair `at` stands in it."""
    ids: list[int] = []
    position = 0
    for n, stretch in enumerate(found):
        second = n in chosen
        start, end = (
            (stretch.other_start, stretch.other_end) if second else (stretch.start, stretch.end)
        )
        if at in stretch.pairs:
            position = len(ids) + (at[1] if second else at[0]) - start
        ids += (other if second else text)[start:end]
    return ids, position
