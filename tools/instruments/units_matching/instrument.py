"""`units.matching`: which units of the index follow words, a pattern or a predicate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from ...errors import ArgumentError
from ...subject.address import Unit
from ..index_sites import Kind, chosen_sites
from ..registry import InstrumentContext, Result, Text, instrument, rounded
from ..rendering import format_token_values, quote_text
from .search import MatchingUnit, Ranking, compare_units
from .target import (
    MatchOptions,
    TokenTarget,
    target_of_pattern,
    target_of_predicate,
    target_of_words,
)

SHOWN_TOKENS = 4


@dataclass(frozen=True)
class UnitsMatching(Result):
    """All units ranked by r and by AUROC with a target.

    Attributes:
        found: of listed words, how often each occurs.
        n_tokens: tokens of explore that count; n_matches: those where the target holds.
        compared: units.
        chance_r, chance_auroc: about the largest of as many units that have nothing to do with it.
        beyond_chance: units with a larger |r|.
        notes: what was computed by a pass of the subject.
    """

    target: str
    found: dict[str, int]
    n_tokens: int
    n_matches: int
    compared: int
    chance_r: float
    chance_auroc: float
    beyond_chance: int
    by_r: list[MatchingUnit]
    by_auroc: list[MatchingUnit]
    notes: list[str]

    def render(self) -> str:
        lines = [
            f"of {self.compared:,} units, those that follow {quote_text(self.target)} "
            f"({self.n_matches:,} of {self.n_tokens:,} tokens of explore)"
        ]
        if missing := [word for word, count in self.found.items() if not count]:
            lines.append("not in explore: " + ", ".join(f'"{quote_text(w)}"' for w in missing))
        lines.append(
            f"by r (largest by chance {self.chance_r:.2f}; {self.beyond_chance:,} are beyond):"
        )
        lines += map(self._line, self.by_r)
        lines.append(f"by AUROC (largest by chance {self.chance_auroc:.2f}):")
        lines += map(self._line, self.by_auroc)
        return "\n".join([*lines, *self.notes])

    def _line(self, unit: MatchingUnit) -> str:
        partial = ""
        if unit.matches + unit.others < self.n_tokens:
            partial = f" (over {unit.matches:,} matches and {unit.others:,} other tokens)"
        shown = list(unit.tokens.items())[:SHOWN_TOKENS]
        tokens = format_token_values([t for t, _ in shown], [v for _, v in shown], "+.3g")
        return (
            f"  {unit.unit}: r {unit.r:+.3f}, AUROC {unit.auroc:.3f}{partial}, mean there "
            f"{unit.at_matches:+.3g}, in all {unit.mean:+.3g}; {tokens}"
        )


@instrument("units.matching", needs=("subject", "index"))
def units_matching(
    context: InstrumentContext,
    words: Annotated[
        list[Text] | None,
        Field(min_length=1, max_length=100, description="whole words or phrases, in any casing"),
    ] = None,
    pattern: Annotated[Text | None, Field(max_length=1000)] = None,
    regex: Annotated[
        bool, Field(description="the pattern is an RE2 expression instead of words")
    ] = False,
    predicate: Annotated[
        Text | None,
        Field(
            max_length=2000,
            description='such as `strongly words("said") - slightly after(words("he"))`',
        ),
    ] = None,
    match_case: Annotated[bool, Field(description="of words and of a pattern of words")] = False,
    last_only: Annotated[
        bool, Field(description="of a match of several tokens, the last one only")
    ] = False,
    k: Annotated[int, Field(ge=1, le=50, description="to list by r, and by AUROC")] = 8,
    sites: Annotated[
        list[Kind] | None, Field(min_length=1, description="default: all of the index")
    ] = None,
    layers: Annotated[list[int] | None, Field(description="default: all of the index")] = None,
) -> UnitsMatching:
    """Find the units that follow something: words, a pattern or a predicate that you give.

    Ranks all units of the index, on both sides, by correlation with where it holds in the corpus and
    by how well they tell its tokens from others. Give one of words, pattern and predicate.
    """
    options = MatchOptions(regex=regex, match_case=match_case, last_only=last_only)
    target = _target(context, options, words=words, pattern=pattern, predicate=predicate)
    subject, index = context.require_subject(), context.require_index()
    chosen = chosen_sites(index, sites, layers)
    from ...index.activation_store.tokens import TokenSource

    notes: list[str] = []
    source = TokenSource(subject, index, chosen, notes.append)
    ranking = compare_units(index, source, target, chosen, subject.token_strings(), k)
    return UnitsMatching(
        target.what,
        target.found,
        target.n,
        int((target.signal > 0).sum()),
        ranking.compared,
        round(ranking.chance_r, 3),
        round(ranking.chance_auroc, 3),
        ranking.beyond_chance,
        _listed(ranking, k, "r"),
        _listed(ranking, k, "auroc"),
        notes,
    )


def _target(
    context: InstrumentContext,
    options: MatchOptions,
    *,
    words: list[str] | None,
    pattern: str | None,
    predicate: str | None,
) -> TokenTarget:
    looked_for = {"words": words, "pattern": pattern, "predicate": predicate}
    given = [name for name, value in looked_for.items() if value is not None]
    if len(given) != 1:
        raise ArgumentError(
            f"units.matching: {' and '.join(given) or 'nothing'} given to look for; "
            'give one of words=["Monday", "Friday"], pattern="Monday" and '
            "predicate='strongly words(\"monday\")'"
        )
    subject = context.require_subject()
    contexts = context.require_index().contexts("explore")
    if words is not None:
        return target_of_words(subject, contexts, words, options)
    if pattern is not None:
        return target_of_pattern(subject, contexts, pattern, options)
    return target_of_predicate(subject, contexts, predicate or "")


def _listed(ranking: Ranking, k: int, by: Literal["r", "auroc"]) -> list[MatchingUnit]:
    """The best k by one of the numbers, on the better side of each; a head has one side."""
    rows: list[tuple[float, MatchingUnit]] = []
    for unit in ranking.units:
        strength = unit.r if by == "r" else unit.auroc - 0.5
        address = Unit.parse(unit.unit)
        if address.site == "head":
            rows.append((strength, _rounded(unit, 1)))
            continue
        sided = replace(address, side="-" if strength < 0 else "+")
        on_side = _rounded(replace(unit, unit=str(sided)), -1 if strength < 0 else 1)
        rows.append((abs(strength), on_side))
    rows.sort(key=lambda row: (-row[0], row[1].unit))
    return [unit for strength, unit in rows[:k] if strength > 0]


def _rounded(unit: MatchingUnit, sign: int) -> MatchingUnit:
    """Its numbers on one side, with the tokens furthest on that side first."""
    auroc = unit.auroc if sign > 0 else 1 - unit.auroc
    r, auroc, at_matches, mean = rounded([sign * unit.r, auroc, unit.at_matches, unit.mean])
    tokens = sorted(unit.tokens.items(), key=lambda item: -sign * item[1])
    means = {token: rounded([value])[0] for token, value in tokens}
    return replace(unit, r=r, auroc=auroc, at_matches=at_matches, mean=mean, tokens=means)
