"""A formula in plain English: the headline, the sentence, and the words that no concept covers.

1. A *claim* is a named concept, e.g. ``names of places``, with how much it counts. Amounts
   are relative to the strongest claim; what none is said of counts as much as that.
2. A term that corrects an earlier one is an *exception* of its claim and claims nothing itself:
   ``pla- words (not plan- words)``.
3. The sentence names every claim, the side of the first one first, and then examples of the tokens
   that are listed by name. The headline names those of the first three claims that fit it.
4. Claims that differ in one word share the others: ``words right after *play*/*win*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from .concepts import Concept
from .concepts.both import Both
from .concepts.words import named_token

Side = Literal["both", "+", "-"]
CANNOT = "Cannot be explained: no concept predicts it."
ONLY_LISTED = "No named concept: only a list of tokens."
"""The headline of a formula that lists tokens and nothing else."""
TOO_LONG = "See the sentence: no concept is short enough for a headline."
MAX_WORDS = 40
"""Words of an explanation's sentence, as `word_count` counts them."""
MAX_HEADLINE_WORDS, HEADLINE_CLAIMS = 12, 3
EXCEPTIONS = ("not", "less on")
IN_ANY_FORM = " in any form"
EXAMPLES = 6
"""Listed tokens that a sentence shows; more of them are read by nobody."""
SHARES = {1: "", 2: "half", 4: "moderately", 8: "slightly", 16: "faintly"}
"""How much a claim counts, by how many times as much the strongest one does. Readers took fractions
(¼, 1⁄16) for noise."""


STARRED = re.compile(r"\*[^\s*]+\*(?:/\*[^\s*]+\*)*")
"""Words in stars stand for all of their forms."""


class StatedTerm(Protocol):
    """What a statement needs of a term: concept, signed weight, and whether it is an exception."""

    @property
    def concept(self) -> Concept: ...
    @property
    def weight(self) -> int: ...
    @property
    def is_exception(self) -> bool: ...


T = TypeVar("T", bound=StatedTerm)


class Listed(Protocol):
    """What a statement needs of a token that is listed by name."""

    @property
    def token(self) -> str: ...
    @property
    def weight(self) -> int: ...


class StatedClaim(NamedTuple):
    """A concept that a unit is said to fire on, how much, and what it leaves out."""

    concept: Concept
    sign: int
    share: str
    exceptions: tuple[tuple[Concept, str], ...] = ()
    """Each with ``not`` or ``less on``."""


def word_count(sentence: str) -> int:
    """Words of a sentence; in a list with slashes each member is one word."""
    return len(sentence.replace("/", " ").split())


def statement(
    terms: Sequence[StatedTerm], listed: Sequence[Listed] = (), side: Side = "both"
) -> str:
    """The sentence: all claims, then as many examples of the listed tokens as it has room for.

    Args:
        side: the target's; what weakens a one-sided target is no other side.
    """
    claims = claims_of(terms)
    if not claims and not listed:
        return CANNOT
    sentence = ""
    for spelled in (True, False):
        clauses = list(_clauses(claims, side, spelled))
        # At least two examples come before amounts that are spelled out.
        most = min(EXAMPLES, len(listed))
        for shown in range(most, min(most, 2) - 1 if spelled else -1, -1):
            sentence = " ".join([*clauses, *_residue(listed, shown)])
            if word_count(sentence) <= MAX_WORDS:
                return _with_forms(sentence, MAX_WORDS)
    return sentence


def headline(terms: Sequence[StatedTerm], has_listed: bool = False, side: Side = "both") -> str:
    """The first claims in at most 12 words, without amounts; see `headline_terms`."""
    claims = claims_of(headline_terms(terms))
    if claims:
        return _with_forms(_headline(claims, side), MAX_HEADLINE_WORDS)
    if terms:
        return TOO_LONG
    return ONLY_LISTED if has_listed else CANNOT


def headline_terms(terms: Sequence[T]) -> list[T]:
    """Of the first three claims those that fit together; if none of them fits, the next that does."""
    chosen: list[T] = []
    for place, term in enumerate(claim for claim in terms if not claim.is_exception):
        if place >= HEADLINE_CLAIMS and chosen:
            break
        if fits_headline([*chosen, term]):
            chosen.append(term)
    return chosen


def fits_headline(terms: Sequence[StatedTerm]) -> bool:
    """Whether a headline has room for all of these claims."""
    return word_count(_headline(claims_of(terms), "both")) <= MAX_HEADLINE_WORDS


def _with_forms(sentence: str, most: int) -> str:
    """The sentence, with what stars mean where they are first read, if that leaves it short enough."""
    spelled = STARRED.sub(rf"\g<0>{IN_ANY_FORM}", sentence, count=1)
    return spelled if word_count(spelled) <= most else sentence


def claims_of(terms: Sequence[StatedTerm]) -> list[StatedClaim]:  # 1. and 2.
    """The claims in the order of their terms; an exception belongs to the claim before it."""
    strongest = max((abs(term.weight) for term in terms if not term.is_exception), default=1)
    claims: list[StatedClaim] = []
    host_weight = 0
    for term in terms:
        if term.is_exception and claims:
            how = EXCEPTIONS[abs(term.weight) < host_weight]
            exceptions = (*claims[-1].exceptions, (term.concept, how))
            claims[-1] = claims[-1]._replace(exceptions=exceptions)
            continue
        host_weight = abs(term.weight)
        times = min(SHARES, key=lambda n: abs(n - strongest / host_weight))
        claims.append(StatedClaim(term.concept, 1 if term.weight > 0 else -1, SHARES[times]))
    return claims


# ------------------------------------------------------------- 3. clauses


def _clauses(claims: Sequence[StatedClaim], side: Side, spelled: bool) -> Iterator[str]:
    """One clause for each sign, that of the first claim first; of a one-sided target its own side.

    Args:
        spelled: say what an amount means where it is first read.
    """
    explained: set[str] = set()
    first_sign = claims[0].sign if claims and side == "both" else 1
    for sign in (first_sign, -first_sign):
        groups: list[str] = []
        for share in SHARES.values():
            alike = [claim for claim in claims if (claim.sign, claim.share) == (sign, share)]
            if not alike:
                continue
            note = " as much" if share == SHARES[2] and spelled and share not in explained else ""
            explained.add(share)
            groups.append(f"{share}{note} on {', '.join(_phrases(alike))}".lstrip())
        if groups:
            opening = _opening(sign, side, sign != first_sign)
            clause = "; ".join(groups)
            if opening.endswith(":"):
                clause = clause.removeprefix("on ")
            yield f"{opening} {clause}."


def _opening(sign: int, side: Side, second: bool) -> str:
    if side != "both" and sign < 0:
        return "Less:"
    if second:
        return "Positively:" if sign > 0 else "Negatively:"
    return "Fires negatively" if sign < 0 or side == "-" else "Fires"


def _headline(claims: Sequence[StatedClaim], side: Side) -> str:
    first_sign = claims[0].sign if side == "both" else 1
    parts: list[str] = []
    for sign in (first_sign, -first_sign):
        phrases = _phrases([claim for claim in claims if claim.sign == sign])
        if not phrases:
            continue
        opening = "negative on " if sign < 0 else ""
        if side != "both":
            opening = "less on " if sign < 0 else ""
        elif sign != first_sign:
            opening = "on the other side "
        parts.append(opening + _joined(phrases))
    return "; ".join(parts)


def _residue(listed: Sequence[Listed], shown: int) -> list[str]:
    """The first tokens by name, those that raise the prediction first, and how many more there are."""
    if not shown:
        return [f"Also {len(listed)} single token{'s' * (len(listed) > 1)}."] if listed else []
    parts: list[str] = []
    for sign, word in ((1, "more"), (-1, "less")):
        names = [named_token(t.token) for t in listed[:shown] if t.weight * sign > 0]
        if names:
            parts.append(f"{word} on {', '.join(names)}")
    if len(listed) > shown:
        rest = len(listed) - shown
        parts.append(f"{rest} others" if rest > 1 else "1 other")
    return [f"By name, {'; '.join(parts)}."]


def _joined(phrases: Sequence[str]) -> str:
    """``a, b and c``"""
    return " and ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))


# ------------------------------------------------- 4. claims that share words


def _phrases(claims: Sequence[StatedClaim]) -> list[str]:
    """The claims' phrases with their exceptions; neighbours that differ in one word are merged."""
    phrases: list[str] = []
    plain: list[Concept] = []
    for claim in claims:
        if not claim.exceptions:
            plain.append(claim.concept)
            continue
        notes: list[str] = []
        for how in EXCEPTIONS:
            alike = [concept for concept, own in claim.exceptions if own == how]
            notes += [f"({how} {phrase})" for phrase in _grouped(alike)]
        phrases += [*_grouped(plain), " ".join([claim.concept.noun(), *notes])]
        plain = []
    return phrases + _grouped(plain)


def _grouped(concepts: Sequence[Concept]) -> list[str]:
    """The concepts' nouns; neighbours that differ in one word are merged."""
    groups: list[list[Concept]] = []
    for concept in concepts:
        if groups and _merged([*groups[-1], concept]):
            groups[-1].append(concept)
        else:
            groups.append([concept])
    return [_merged(group) or group[0].noun() for group in groups]


def _merged(concepts: Sequence[Concept]) -> str:
    """One phrase for concepts of one family that differ in one word, or "" if they don't."""
    families = set(map(type, concepts))
    # Of a conjunction it would be open what is joined.
    if len(concepts) < 2 or len(families) > 1 or Both in families:
        return ""
    split = [concept.noun().split() for concept in concepts]
    n_words = len(split[0])
    if any(len(words) != n_words for words in split):
        return ""
    if n_words == 1 and not all(words[0][0] in '"*' for words in split):
        return ""
    differing = [place for place in range(n_words) if len({words[place] for words in split}) > 1]
    # A quoted phrase of several words stays whole.
    if len(differing) != 1 or any(words[differing[0]].count('"') % 2 for words in split):
        return ""
    place = differing[0]
    either = "/".join(words[place] for words in split)
    return " ".join([*split[0][:place], either, *split[0][place + 1 :]])
