"""Headline, sentence and formula say the same: each claim once, on its side and with its amount."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hubel.tools.dissection import Predicate, WeightedConcept
from hubel.tools.dissection.concepts.words import named_token
from hubel.tools.dissection.predicate import ListedToken, limit_problem
from hubel.tools.dissection.statement import (
    CANNOT,
    IN_ANY_FORM,
    ONLY_LISTED,
    SHARES,
    TOO_LONG,
    Side,
    word_count,
)
from tests.tools.dissection.test_predicate import FORMULAS, LISTED, concept

AMOUNT = re.compile(rf"(?:({'|'.join(filter(None, SHARES.values()))})(?: as much)? )?(?:on )?(.*)")
OPENINGS = {
    "Fires negatively ": -1,
    "Fires ": 1,
    "Negatively: ": -1,
    "Positively: ": 1,
    "Less: ": -1,
}

Reading = tuple[str, int, str]
"""A noun, its sign, and its amount, or "not" or "less on" for an exception."""


def apart(noun: str) -> list[str]:
    """A noun with alternatives in its words as a noun of each."""
    return [" ".join(words) for words in product(*(word.split("/") for word in noun.split()))]


def read(sentence: str, side: Side) -> Counter[Reading]:
    """What a sentence claims, read from its words alone; by name: sign 1 or -1 and amount "name"."""
    claims: Counter[Reading] = Counter()
    sentence = sentence.replace(IN_ANY_FORM, "")
    clauses = re.split(
        r"\. (?=Fires|Negatively|Positively|Less:|By name|Also)", sentence.removesuffix(".")
    )
    sign = 0
    for clause in clauses:
        if clause.startswith(("By name", "Also")):
            claims += read_names(clause) if clause.startswith("By name") else Counter()
            continue
        opening = next(start for start in OPENINGS if clause.startswith(start))
        sign = 1 if side == "-" and opening == "Fires negatively " else OPENINGS[opening]
        for group in clause.removeprefix(opening).split("; "):
            match = AMOUNT.fullmatch(group)
            assert match is not None
            for item in match[2].split(", "):
                claim, *exceptions = re.split(r" \((?=not |less on )", item)
                claims.update((noun, sign, match[1] or "") for noun in apart(claim))
                for exception in exceptions:
                    how = "not" if exception.startswith("not ") else "less on"
                    phrase = exception.removeprefix(f"{how} ").removesuffix(")")
                    claims.update((noun, -sign, how) for noun in apart(phrase))
    return claims


def read_names(clause: str) -> Counter[Reading]:
    names: Counter[Reading] = Counter()
    for part in re.split(r"[:,] ", clause, maxsplit=1)[1].split("; "):
        for how, sign in (("more on ", 1), ("less on ", -1)):
            if part.startswith(how):
                names.update((name, sign, "name") for name in part.removeprefix(how).split(", "))
    return names


def expected(terms: Sequence[WeightedConcept]) -> Counter[Reading]:
    """The same from the formula, by its definition."""
    strongest = max(abs(term.weight) for term in terms if not term.is_exception)
    claims: Counter[Reading] = Counter()
    host = 0
    for term in terms:
        amount = SHARES[strongest // abs(term.weight)] if not term.is_exception else ""
        if term.is_exception:
            amount = "not" if abs(term.weight) >= abs(host) else "less on"
        else:
            host = term.weight
        claims.update((noun, term.sign, amount) for noun in apart(term.concept.noun()))
    return claims


def with_exceptions(terms: Sequence[WeightedConcept], choice: int) -> list[WeightedConcept]:
    """Some of the terms as exceptions of the one before, as the bits of a number say."""
    chosen: list[WeightedConcept] = []
    for place, term in enumerate(terms):
        if chosen and choice >> place & 1:
            host = next(t for t in reversed(chosen) if not t.is_exception)
            chosen.append(WeightedConcept(term.concept, term.grade, -host.sign, is_exception=True))
        else:
            chosen.append(term)
    return chosen


@settings(max_examples=400, deadline=None)
@given(FORMULAS.filter(bool), LISTED, st.integers(0, 31), st.sampled_from(["both", "+", "-"]))
def test_the_sentence_says_each_term_once_and_nothing_else(
    terms: list[WeightedConcept], listed: list[ListedToken], choice: int, side: Side
) -> None:
    terms = with_exceptions(terms, choice)
    assume(not limit_problem(terms, listed))
    predicate = Predicate(tuple(terms), 0.5, 0.0, tuple(listed))
    assert Predicate.parse(predicate.to_text()) == predicate
    claims = read(predicate.sentence(side), side)
    names = Counter({claim: n for claim, n in claims.items() if claim[2] == "name"})
    assert claims - names == expected(terms)
    by_name = {(named_token(t.token), 1 if t.weight > 0 else -1, "name") for t in listed}
    assert set(names) <= by_name
    others = len(listed) - len(names)
    assert not others or f"{others} " in predicate.sentence(side)
    assert word_count(predicate.sentence()) <= 40


@settings(max_examples=400, deadline=None)
@given(FORMULAS, LISTED, st.integers(0, 31), st.sampled_from(["both", "+", "-"]))
def test_the_headline_says_what_its_formula_predicts(
    terms: list[WeightedConcept], listed: list[ListedToken], choice: int, side: Side
) -> None:
    predicate = Predicate(tuple(with_exceptions(terms, choice)), 0.5, 0.0, tuple(listed))
    headline, formula = predicate.headline_sentence(side), predicate.headline()
    assert word_count(headline) <= 12
    assert formula.meaning() == formula
    assert formula.headline_sentence(side) == headline or not formula.terms
    assert len(formula.terms) <= 3
    if not formula.terms:
        assert headline in (CANNOT, ONLY_LISTED, TOO_LONG)
        named = predicate.meaning().terms
        assert all(word_count(term.concept.noun()) > 10 for term in named if not term.is_exception)
        return
    said: Counter[Reading] = Counter()
    first_sign = formula.terms[0].sign if side == "both" else 1
    for part in headline.replace(IN_ANY_FORM, "").split("; "):
        match = re.fullmatch(r"(on the other side |negative on |less on |)(.*)", part)
        assert match is not None
        sign = {"": 1, "on the other side ": -first_sign}.get(match[1], -1)
        # A phrase of a conjunction may hold an "and" of its own; none holds a comma.
        nouns = [
            noun
            for term in formula.terms
            if term.sign == sign
            for noun in apart(term.concept.noun())
        ]
        rest = match[2]
        for noun in sorted(nouns, key=len, reverse=True):
            if noun in rest:
                rest = rest.replace(noun, "", 1)
        words = {word for noun in nouns for word in noun.split()}
        assert set(re.split(r"[ /,]+", rest)) <= words | {"", "and"}
        said.update((noun, sign, "") for noun in nouns)
    assert said == Counter((n, s, "") for n, s, _ in expected(formula.terms).elements())


@pytest.mark.parametrize(
    ("formula", "side", "sentence", "headline"),
    [
        (
            'strongly prefix("pla") except strongly prefix("plan") + moderately kind("number") '
            '- strongly after(words("the")) - slightly after(words("a")) + list(" war" 3, "s" -1)',
            "both",
            "Fires on pla- words (not plan- words); half as much on digits. Negatively: "
            'words after "the"; moderately on words after "a". '
            "By name, more on ‹war›; less on ‹…s›.",
            'pla- words and digits; on the other side words after "the"',
        ),
        (
            'strongly prefix("pla") except strongly prefix("plan") except strongly prefix("plat") '
            'except slightly suffix("s") + strongly kind("number") + strongly words("ten") '
            '+ strongly words("six") + slightly position(0, 4)',
            "+",
            "Fires on pla- words (not plan-/plat- words) (less on -s words), digits, "
            '"ten"/"six"; moderately on words at places 0-4 of the excerpt.',
            "pla- words, digits and words at places 0-4 of the excerpt",
        ),
        (
            'moderately suffix("ing") + moderately suffix("ed") - slightly kind("comma")',
            "-",
            "Fires negatively on -ing/-ed words. Less: half as much on commas.",
            "-ing/-ed words; less on commas",
        ),
        (
            'both(casing("capitalised"), after(words("mr")))',
            "both",
            'Fires on capitalised words after "mr".',
            'capitalised words after "mr"',
        ),
        (
            'strongly lemma("play") + strongly lemma("win") - strongly after(lemma("go"))',
            "both",
            "Fires on *play*/*win* in any form. Negatively: words after *go*.",
            "*play*/*win* in any form; on the other side words after *go*",
        ),
        ('list(" war" 3)', "both", "By name, more on ‹war›.", ONLY_LISTED),
        ("nothing", "+", CANNOT, CANNOT),
    ],
)
def test_what_people_read(formula: str, side: Side, sentence: str, headline: str) -> None:
    if not formula.startswith(("strongly", "moderately", "list", "nothing")):
        formula = f"strongly {formula}"
    predicate = Predicate.parse(formula)
    assert predicate.sentence(side) == sentence
    assert predicate.headline_sentence(side) == headline


def test_a_long_residue_is_shown_by_examples() -> None:
    listed = tuple(ListedToken(f" w{n}", n - 12 or 1) for n in range(24))
    terms = tuple(WeightedConcept(concept("suffix", c), "strongly") for c in "abcdefghijkl")
    for n_terms in range(13):
        predicate = Predicate(terms[:n_terms], listed=listed)
        assert word_count(predicate.sentence()) <= 40
        assert re.search(r"(\d+) (others|tokens)\.$", predicate.sentence())


def test_what_corrects_a_listed_word_is_a_claim_of_the_meaning() -> None:
    predicate = Predicate.parse('strongly words("plan") except slightly suffix("s")')
    assert predicate.meaning().to_text() == '- slightly suffix("s"); step 1.0, rest 0.0'
    assert predicate.meaning().sentence() == "Fires negatively on -s words."
