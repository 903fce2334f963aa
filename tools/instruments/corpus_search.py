"""Text of explore that matches a pattern, with a unit's activation there.

1. Decode each context of explore and look for the pattern: plain words in any casing, or an RE2
   regular expression.
2. Of all contexts with a match read up to `most`, spread evenly, through the subject.
3. Each match gets the activation of largest size among its tokens (position 0 does not count). Tell
   how many fire and how many are silent by the levels of the whole corpus, and show the strongest
   and the weakest.

The weakest matches are the counterexamples that exemplars never show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..errors import ArgumentError
from .input_texts import TokenizedText, batches, pad_token_ids
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .rendering import mark_active_tokens, quote_text

if TYPE_CHECKING:
    from ..index import Index
    from ..subject import Unit


@dataclass(frozen=True)
class Match:
    """One place where the pattern stands.

    Attributes:
        tokens, activations: of the whole context; `positions`: the match's own; `activation`: the largest there.
    """

    context: int
    tokens: list[str]
    activations: list[float]
    positions: list[int]
    activation: float


@dataclass(frozen=True)
class CorpusSearch(Result):
    """Where a pattern stands in explore, and what a unit does there.

    Attributes:
        n_contexts: with a match; `n_read`: of these, read through the subject; `n_matches`: in those read.
        fires: share of matches at or beyond what a tenth of all tokens reach, on either side that was asked for.
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
        top = max(abs(match.activation) for match in self.strongest)
        lines = [
            f"{head}: mean {self.mean:+.3g}, {shares}",
            "strongest:",
            *(_line(m, top) for m in self.strongest),
        ]
        return "\n".join(
            [*lines, "weakest:", *(_line(m, top) for m in self.weakest)] if self.weakest else lines
        )


def _line(match: Match, strongest: float) -> str:
    peak = match.positions[-1]
    return f"  {match.activation:+.3g} | {mark_active_tokens(match.tokens, match.activations, strongest, peak)}"


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
    """What a unit does wherever a word or pattern stands in the corpus, best and worst cases.

    Tells how often it fires there. The weakest matches are counterexamples that no exemplar shows.
    Words match in any casing and whole; with regex (RE2) write boundaries yourself.
    """
    from ..subject import Unit

    address, index = Unit.parse(unit), context.require_index()
    found = _matching(index, _compiled(pattern, regex=regex))
    numbers = list(found)
    read = [
        numbers[i * len(numbers) // min(most, len(numbers))] for i in range(min(most, len(numbers)))
    ]
    matches = list(_matches(context, address, {number: found[number] for number in read}))
    matches.sort(key=lambda match: (-abs(match.activation), match.context, match.positions))
    values = [match.activation for match in matches]
    (mean,) = rounded([sum(values) / len(values)]) if values else (None,)
    weakest = matches[max(k, len(matches) - k) :][::-1]
    fires = _fires(index, address, values)
    return CorpusSearch(
        str(address),
        pattern,
        len(numbers),
        len(read),
        len(matches),
        mean,
        fires,
        matches[:k],
        weakest,
    )


def _compiled(pattern: str, *, regex: bool) -> Any:
    import re2

    if not regex:
        words = re2.escape(pattern.strip())
        before, after = (
            (r"\b" if pattern.strip()[at].isalnum() else "" for at in (0, -1))
            if pattern.strip()
            else ("", "")
        )
        return re2.compile(f"(?i){before}{words}{after}")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ArgumentError(
            f"corpus.search: {pattern!r} is no RE2 expression ({error}); RE2 has no look-around and no back-references"
        ) from None


def _matching(index: Index, pattern: Any) -> dict[int, list[tuple[int, int]]]:
    """Context to the first and last token of each match that does not lie in position 0 alone."""
    contexts, strings = index.contexts("explore"), index.vocabulary
    found: dict[int, list[tuple[int, int]]] = {}
    for number, (row, length) in enumerate(
        zip(contexts.tokens.tolist(), contexts.length.tolist(), strict=True)
    ):
        tokens = [strings[i] for i in row[:length]]
        spans = [m.span() for m in pattern.finditer("".join(tokens))]
        if spans and (places := list(_places(tokens, spans))):
            found[number] = places
    return found


def _places(tokens: Sequence[str], spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    from bisect import bisect_left, bisect_right
    from itertools import accumulate

    ends = list(accumulate(map(len, tokens)))  # where each token stops
    for start, end in spans:
        if start == end:
            continue
        first, last = bisect_right(ends, start), bisect_left(ends, end)
        if last > 0:
            yield max(first, 1), last


def _matches(
    context: InstrumentContext, unit: Unit, found: dict[int, list[tuple[int, int]]]
) -> Iterator[Match]:
    index, subject = context.require_index(), context.require_subject()
    contexts, strings = index.contexts("explore"), index.vocabulary
    rows = {
        number: contexts.tokens[number, : int(contexts.length[number])].tolist() for number in found
    }
    ready = [TokenizedText("", ids, [], []) for ids in rows.values()]
    numbers = list(rows)
    for batch in batches(ready):
        some = [ready[i] for i in batch]
        raw = subject.unit_activations(pad_token_ids(some), [unit.unsided])[0].float().cpu().numpy()
        for row, i in enumerate(batch):
            values = rounded(unit.signal(raw[row, : len(ready[i].ids)]))
            tokens = [strings[token] for token in ready[i].ids]
            for first, last in found[numbers[i]]:
                positions = list(range(first, last + 1))
                strongest = max((values[p] for p in positions), key=abs)
                yield Match(numbers[i], tokens, [0.0, *values[1:]], positions, strongest)


def _fires(index: Index, unit: Unit, values: Sequence[float]) -> dict[str, float]:
    """Share of the matches beyond what a tenth of all tokens reach, on each side that was asked for."""
    usual = index.statistics(unit.unsided)
    levels = {"+": usual.q90, "-": -usual.q10}
    if unit.side != "both":
        return {unit.side: _share([v >= levels[unit.side] for v in values])}
    sides = ("+",) if unit.site == "head" else ("+", "-")
    return {
        side: _share([(v if side == "+" else -v) >= levels[side] for v in values]) for side in sides
    }


def _share(held: Sequence[bool]) -> float:
    return rounded([sum(held) / len(held)])[0] if held else 0.0
