"""Text of explore that matches a pattern, with a unit's activation there.

1. Join the tokens of each context of explore to a text and look for the pattern: plain words in any
   casing, or an RE2 regular expression. The bytes of a token that ends within a character can be
   searched for as they are shown: <0xE6><0x97>.
2. Read the unit on up to `most` of the contexts with a match, spread evenly: from the index's
   activation store, or by a pass.
3. A match's activation is the largest in size among its tokens (position 0 does not count). Report
   what share fires by the levels of the whole corpus, and the strongest and the weakest matches.

The weakest matches are the counterexamples that exemplars never show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..subject.address import Unit
from .readable_texts import ReadableTexts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens, quote_text
from .text_patterns import TokenSpan, compile_pattern, matching_spans

if TYPE_CHECKING:
    from ..index import Index


@dataclass(frozen=True)
class Match:
    """One place where the pattern occurs.

    Attributes:
        tokens: of the whole context, as are the `activations`.
        positions: the match's tokens.
        activation: the largest of the match, by size.
    """

    context: int
    tokens: list[str]
    activations: list[float]
    positions: list[int]
    activation: float


@dataclass(frozen=True)
class CorpusSearch(Result):
    """Where a pattern occurs in explore, and what a unit does there.

    Attributes:
        n_contexts: contexts with a match.
        n_read: of these, the contexts that the subject read.
        n_matches: matches in the contexts read.
        fires: share of matches at or beyond what a tenth of all tokens reach, by side.
        strongest, weakest: matches by the size of the activation.
    """

    unit: str
    pattern: str
    n_contexts: int
    n_read: int
    n_matches: int
    mean: float | None
    fires: dict[str, float]
    strongest: list[Match]
    weakest: list[Match]

    def render(self) -> str:
        if not self.n_matches:
            return f'nothing in the corpus matches "{quote_text(self.pattern)}"'
        shares = ", ".join(
            f"fires on side {side} at {share:.0%}" for side, share in self.fires.items()
        )
        read = f"{self.n_read} of {self.n_contexts} contexts"
        head = f'{self.unit} at {self.n_matches} matches of "{quote_text(self.pattern)}" in {read}'
        scale = max(abs(match.activation) for match in self.strongest)
        lines = [f"{head}: mean {self.mean:+.3g}, {shares}", "strongest:"]
        lines += [_line(match, scale) for match in self.strongest]
        if self.weakest:
            lines += ["weakest:", *(_line(match, scale) for match in self.weakest)]
        return "\n".join(lines)


def _line(match: Match, scale: float) -> str:
    text = mark_active_tokens(match.tokens, match.activations, scale, match.positions[-1])
    return f"  {match.activation:+.3g} | {text}"


@instrument("corpus.search", needs=("subject", "index"))
def corpus_search(
    context: InstrumentContext,
    unit: UnitAddress,
    pattern: Annotated[Text, Field(max_length=200)],
    regex: Annotated[
        bool, Field(description="an RE2 regular expression instead of words in any casing")
    ] = False,
    k: Annotated[
        int, Field(ge=1, le=20, description="of the strongest and of the weakest matches")
    ] = 4,
    most: Annotated[int, Field(ge=1, le=300, description="contexts to read")] = 48,
) -> CorpusSearch:
    """Show what a unit does where a word or pattern occurs in the corpus.

    Shows the strongest and weakest matches, and how often it fires on them. The weakest matches are
    counterexamples that no exemplar shows. Whole words match, in any casing; with regex (RE2) write
    boundaries yourself.
    """

    address, index = Unit.parse(unit), context.require_index()
    # The subject's strings, since an old index may not have the bytes of incomplete characters.
    strings = context.require_subject().token_strings()
    compiled = compile_pattern(pattern, regex=regex)
    spans = matching_spans(index.contexts("explore"), strings, compiled)
    n_read = min(most, len(spans))
    numbers = list(spans)
    read = [numbers[i * len(numbers) // n_read] for i in range(n_read)]
    matches = list(_read_matches(context, address, {number: spans[number] for number in read}))
    matches.sort(key=lambda match: (-abs(match.activation), match.context, match.positions))
    values = [match.activation for match in matches]
    return CorpusSearch(
        str(address),
        pattern,
        len(numbers),
        n_read,
        len(matches),
        rounded([sum(values) / len(values)])[0] if values else None,
        _share_that_fires(index, address, values),
        matches[:k],
        matches[max(k, len(matches) - k) :][::-1],
    )


def _read_matches(
    context: InstrumentContext, unit: Unit, spans: dict[int, list[TokenSpan]]
) -> Iterator[Match]:
    index, subject = context.require_index(), context.require_subject()
    strings, read = subject.token_strings(), ReadableTexts.of_explore(subject, index, list(spans))
    for (number, matched), text, signal in zip(
        spans.items(), read.texts, read.signals(unit), strict=True
    ):
        values = rounded(signal)
        tokens = [strings[token] for token in text.ids]
        for first, last, _ in matched:
            positions = list(range(first, last + 1))
            strongest = max((values[p] for p in positions), key=abs)
            yield Match(number, tokens, [0.0, *values[1:]], positions, strongest)


def _share_that_fires(index: Index, unit: Unit, values: Sequence[float]) -> dict[str, float]:
    """Share of values beyond what a tenth of all tokens reach, on the unit's side or on each."""
    usual = index.statistics(unit.unsided)
    levels = {"+": usual.q90, "-": -usual.q10}
    if unit.side != "both":  # values are strengths of that side
        return {unit.side: _share([v >= levels[unit.side] for v in values])}
    shares = {"+": _share([v >= levels["+"] for v in values])}
    if not unit.is_one_sided:
        shares["-"] = _share([-v >= levels["-"] for v in values])
    return shares


def _share(fires: Sequence[bool]) -> float:
    return rounded([sum(fires) / len(fires)])[0] if fires else 0.0
