"""A sentence that `statement` wrote, read back into a formula that has the same sentence.

1. Clauses begin with an opening that gives a sign; their groups have an amount; groups list concepts.
2. A concept's phrase is looked up among those of all families with a fixed list of values, or is a
   quoted word, a word in stars, an exact token, or ``words after`` one of these.
3. The amounts become grades below the strongest, with a step of 1: a correlation does not depend on
   the scale. Listed tokens, exceptions and conjunctions are not read, since a sentence does not say
   all of them.
4. The formula is kept only if its own sentence is the one that was given.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache

from ..errors import HubelError
from .concepts import FAMILIES, Concept
from .concepts.grammatical import NamedValue
from .concepts.kinds import KINDS, Kind
from .concepts.lemma import Lemma
from .concepts.wordclass import WordClass, classes
from .concepts.words import Words
from .predicate import GRADES, Predicate
from .statement import IN_ANY_FORM, SHARES, Side

_OPENING = re.compile(r"(Fires negatively on|Fires on|Positively:|Negatively:|Less:) ")
_AMOUNT = re.compile(r"(half as much on|half on|moderately on|slightly on|faintly on|on) ")
_TIMES = {share: times for times, share in SHARES.items()}
_GRADE_OF_STEPS = {steps: grade for grade, steps in GRADES.items()}
_STRONGEST = max(GRADES.values())
_WORDS = re.compile(r'"[^"\s/]+"(?:/"[^"\s/]+")*')
_LEMMAS = re.compile(r"\*[^*\s/]+\*(?:/\*[^*\s/]+\*)*")


def read_statement(sentence: str, side: Side = "both") -> Predicate | None:
    """The formula of a sentence that `statement` could have written; None for any other text.

    Args:
        side: of the target, as when it was written.
    """
    try:
        terms = [term for clause in _clauses(sentence, side) for term in clause]
        formula = Predicate.parse(_joined(terms)) if terms else None
    except (HubelError, KeyError):
        return None
    return formula if formula is not None and formula.sentence(side) == sentence else None


def _clauses(sentence: str, side: Side) -> Iterator[list[tuple[int, str, str]]]:
    """The terms of each clause: sign, grade and concept. Raises KeyError for what is not known."""
    plain = sentence.replace(IN_ANY_FORM, "", 1).removesuffix(".")
    openings = list(_OPENING.finditer(plain))
    if not openings or openings[0].start():
        raise KeyError("a sentence begins with what a unit fires on")
    ends = [*(opening.start() for opening in openings[1:]), len(plain)]
    for opening, end in zip(openings, ends, strict=True):
        weakens = opening[1] == "Less:" or (side == "both" and "egatively" in opening[1])
        body = plain[opening.end() : end].strip().removesuffix(".")
        groups = body.split("; ")
        yield [term for group in groups for term in _group(group, -1 if weakens else 1)]


def _group(group: str, sign: int) -> Iterator[tuple[int, str, str]]:
    """The terms of one amount."""
    share = ""
    if amount := _AMOUNT.match(group):
        group = group[amount.end() :]
        share = amount[1].removesuffix("on").strip().removesuffix(" as much")
    grade = _GRADE_OF_STEPS[_STRONGEST // _TIMES[share]]
    for phrase in group.split(", "):
        for concept in _concepts(phrase):
            yield sign, grade, concept


def _concepts(phrase: str) -> list[str]:
    """The printed concepts of a phrase, several where the phrase joins them."""
    if _WORDS.fullmatch(phrase):
        return [Words(*(word.strip('"') for word in phrase.split("/"))).to_text()]
    if _LEMMAS.fullmatch(phrase):
        return [Lemma(word.strip("*")).to_text() for word in phrase.split("/")]
    if phrase.startswith("words after "):
        return [f"after({inner})" for inner in _concepts(phrase.removeprefix("words after "))]
    return [_named()[phrase]]


@cache
def _named() -> Mapping[str, str]:
    """Phrases of concepts with a fixed list of values; those of two concepts are left out."""
    concepts: list[Concept] = [*map(Kind, KINDS), *map(WordClass, classes())]
    for family in FAMILIES.values():
        if issubclass(family, NamedValue):
            concepts += [family(name) for name in family.phrases]
    printed: dict[str, set[str]] = defaultdict(set)
    for concept in concepts:
        printed[concept.noun()].add(concept.to_text())
    return {noun: min(texts) for noun, texts in printed.items() if len(texts) == 1}


def _joined(terms: list[tuple[int, str, str]]) -> str:
    parts = [f"{'+' if sign > 0 else '-'} {grade} {concept}" for sign, grade, concept in terms]
    return " ".join(parts).removeprefix("+ ") + "; step 1.0, rest 0.0"
