"""A predicate prints, reads back, predicts, says itself, and keeps the limits of the contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hubel.tools.dissection import (
    Concept,
    Lexicon,
    ListedToken,
    Predicate,
    TextView,
    WeightedConcept,
)
from hubel.tools.dissection.concepts import FAMILIES, find_family
from hubel.tools.dissection.concepts.casing import STYLES
from hubel.tools.dissection.concepts.kinds import KINDS
from hubel.tools.dissection.concepts.near import REACHES
from hubel.tools.dissection.concepts.repetition import WHAT
from hubel.tools.dissection.concepts.structure import PLACES
from hubel.tools.dissection.concepts.wordclass import classes
from hubel.tools.dissection.predicate import GRADES, limit_problem
from hubel.tools.dissection.statement import CANNOT
from hubel.tools.errors import UsageError


def concept(name: str, *arguments: object) -> Concept:
    return find_family(name).from_arguments(*arguments)


WORD = st.sampled_from(["said", "says", "told", "he", "bram", "clent", "drick"])
LISTS = st.lists(WORD, min_size=1, max_size=3, unique=True)
SIMPLE = st.one_of(
    st.builds(
        lambda s: concept("token", s), st.sampled_from([" said", '"', "\n", ' "x\\', "é", " the"])
    ),
    st.builds(lambda ws: concept("words", *ws), LISTS),
    st.builds(lambda k, ws: concept("near", k, *ws), st.sampled_from(sorted(REACHES)), LISTS),
    st.builds(concept, st.sampled_from(["suffix", "prefix"]), st.sampled_from(["ing", "s", "br"])),
    st.builds(lambda s: concept("casing", s), st.sampled_from(sorted(STYLES))),
    st.builds(lambda s: concept("kind", s), st.sampled_from(sorted(KINDS))),
    st.builds(lambda s: concept("wordclass", s), st.sampled_from(sorted(classes()))),
    st.builds(
        lambda b, n: concept("letters", b, n), st.sampled_from(["least", "most"]), st.integers(1, 9)
    ),
    st.builds(
        lambda b, n: concept("rank", b, n), st.sampled_from(["rare", "common"]), st.integers(1, 9)
    ),
    st.builds(lambda s: concept("place", s), st.sampled_from(sorted(PLACES))),
    st.builds(lambda s: concept("repeated", s), st.sampled_from(sorted(WHAT))),
    st.builds(lambda a, n: concept("position", a, a + n), st.integers(0, 9), st.integers(0, 9)),
    st.builds(lambda: concept("induction")),
    st.builds(lambda s: concept("phrase", s), st.sampled_from(["bram clent", "he-said so"])),
)
WRAPPED = st.one_of(
    st.builds(lambda c: concept("after", c), SIMPLE),
    st.builds(lambda c: concept("since", c), SIMPLE),
    st.builds(lambda n, c: concept("recent", n, c), st.integers(1, 20), SIMPLE),
    st.builds(lambda a, b: concept("both", a, b), SIMPLE, SIMPLE),
)
TERMS = st.builds(
    WeightedConcept,
    st.one_of(SIMPLE, WRAPPED),
    st.sampled_from(sorted(GRADES)),
    st.sampled_from([1, -1]),
)
FORMULAS = st.lists(TERMS, max_size=5, unique_by=lambda t: t.concept).filter(
    lambda ts: not limit_problem(ts)
)
LISTED = st.lists(
    st.builds(
        ListedToken,
        st.sampled_from([" said", '"', "\n", ' "x\\', "é", " the", " bram"]),
        st.integers(1, 99) | st.integers(-99, -1),
    ),
    max_size=5,
    unique_by=lambda t: t.token,
)
SCALE = st.floats(1e-6, 1e6, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(terms=FORMULAS, listed=LISTED, step=SCALE, rest=st.floats(-1e6, 1e6, allow_nan=False))
def test_the_printed_form_reads_back_and_predicts_the_same(
    language: Lexicon,
    sample: TextView,
    terms: list[WeightedConcept],
    listed: list[ListedToken],
    step: float,
    rest: float,
) -> None:
    assume(not limit_problem(terms, listed))
    predicate = Predicate(tuple(terms), step, rest, tuple(listed))
    again = Predicate.parse(predicate.to_text())
    assert again == predicate
    tokens, lengths = sample.tokens[:6], sample.length[:6]
    np.testing.assert_array_equal(
        again.predict(tokens, language, lengths), predicate.predict(tokens, language, lengths)
    )


@settings(max_examples=60, deadline=None)
@given(terms=FORMULAS, listed=LISTED)
def test_meaning_and_residue_add_up_to_the_whole(
    language: Lexicon, sample: TextView, terms: list[WeightedConcept], listed: list[ListedToken]
) -> None:
    assume(not limit_problem(terms, listed))
    whole = Predicate(tuple(terms), 0.5, 2.0, tuple(listed))
    parts = [part.predict_text(sample) for part in (whole.meaning(), whole.residue())]
    np.testing.assert_array_equal(whole.predict_text(sample), parts[0] + parts[1])
    by_hand = np.zeros(sample.tokens.shape)
    for row, column in zip(*np.nonzero(sample.real), strict=True):
        string = language.strings[sample.tokens[row, column]]
        by_hand[row, column] = sum(t.weight for t in listed if t.token == string)
    only_listed = Predicate((), 1.0, 0.0, tuple(listed))
    np.testing.assert_array_equal(only_listed.predict_text(sample), by_hand)
    assert whole.bits() == pytest.approx(whole.meaning().bits() + whole.residue().bits())


def test_a_rule_is_a_meaning_and_an_exact_token_is_not() -> None:
    formula = 'strongly suffix("ing") - slightly both(casing("capitalised"), words("may", "march"))'
    whole = Predicate.parse(formula + ' + slightly after(words("of")) + list(" war" 12, " or" -3)')
    assert whole.meaning().to_text() == (
        'strongly suffix("ing") + slightly after(words("of")); step 1.0, rest 0.0'
    )
    assert whole.residue().to_text() == (
        '- slightly both(casing("capitalised"), words("may", "march")) '
        '+ list(" war" 12, " or" -3); step 1.0, rest 0.0'
    )
    assert "more on ‹war›; less on ‹or›" in whole.sentence()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('list(" a" 0)', "weight"),
        ('list("" 1)', "text"),
        ('list(" a" 1.5)', "whole number"),
        ('list(" a" 1, " a" 2)', "twice"),
        ('list(" a")', "a weight is missing"),
        ("list()", "text in quotation marks is missing"),
        ('list(" a" 1) + list(" b" 1)', "`;` is missing"),
        ('- list(" a" 1)', "missing"),
    ],
)
def test_a_list_that_is_not_one_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Predicate.parse(text)


def test_strategies_above_cover_every_family() -> None:
    covered = {
        "token",
        "words",
        "near",
        "suffix",
        "prefix",
        "casing",
        "kind",
        "wordclass",
        "letters",
        "rank",
        "place",
    }
    covered |= {"phrase", "repeated", "position", "induction", "after", "since", "recent", "both"}
    # The others read a tagger's words or lexica: test_tagged_concepts, test_lexical_concepts.
    one_by_one = Concept.candidate_rows.__func__
    drawn = {n for n, cls in FAMILIES.items() if cls.candidate_rows.__func__ is one_by_one}
    assert covered >= drawn


def test_the_prediction_is_the_sum_of_the_terms_that_hold(
    language: Lexicon, sample: TextView
) -> None:
    predicate = Predicate.parse(
        'strongly words("said") - slightly after(kind("comma")); step 0.5, rest 1.0'
    )
    is_said, is_comma = (
        np.isin(sample.tokens, [i for i, s in enumerate(language.strings) if s == x])
        for x in (" said", ",")
    )
    after = np.zeros_like(is_comma)
    after[:, 1:] = is_comma[:, :-1]
    expected = 1 + 0.5 * (8.0 * is_said - 2.0 * after)
    predicted = predicate.predict(sample.tokens, language, sample.length)
    np.testing.assert_array_equal(predicted[sample.real], expected[sample.real])


def test_a_later_token_never_changes_an_earlier_prediction(
    language: Lexicon, sample: TextView
) -> None:
    printed = [
        'after(kind("quote"))',
        'since(words("he"))',
        'recent(3, kind("number"))',
        'repeated("pair")',
    ]
    printed += [
        'place("quotation")',
        'place("brackets")',
        'place("sentence start")',
        "induction()",
        'suffix("s")',
    ]
    for concept in printed:
        predicate = Predicate.parse(f"strongly {concept}")
        whole = predicate.predict(sample.tokens, language)
        np.testing.assert_array_equal(
            predicate.predict(sample.tokens[:, :17], language), whole[:, :17]
        )


def test_the_empty_predicate_says_so_and_predicts_its_rest() -> None:
    empty = Predicate(rest=0.25)
    assert Predicate.parse(empty.to_text()) == empty
    assert empty.sentence() == CANNOT
    assert set(empty.predict(np.zeros((2, 3), int), Lexicon(["a"])).ravel()) == {0.25}


def too_many(problem: str) -> tuple[WeightedConcept, ...]:
    if problem == "concepts":
        return tuple(WeightedConcept(concept("suffix", c), "slightly") for c in "abcdefghijklm")
    if problem == "listed words":
        return tuple(
            WeightedConcept(concept("words", *(f"{c}{i}" for i in range(5))), "slightly")
            for c in "abcde"
        )
    if problem == "words, at most":
        return tuple(
            WeightedConcept(concept("recent", n, concept("position", n, n)), "slightly")
            for n in range(1, 9)
        )
    return (
        WeightedConcept(concept("suffix", "a"), "slightly"),
        WeightedConcept(concept("suffix", "a"), "strongly"),
    )


@pytest.mark.parametrize("problem", ["concepts", "listed words", "words, at most", "twice"])
def test_a_formula_beyond_the_limits_is_refused(problem: str) -> None:
    assert problem in limit_problem(too_many(problem))
    if problem != "words, at most":
        with pytest.raises(UsageError, match=problem):
            Predicate(too_many(problem))


def test_a_conjunction_counts_as_two_concepts() -> None:
    pairs = [concept("both", concept("suffix", a), concept("prefix", a)) for a in "abcdefg"]
    assert "14 concepts" in limit_problem([WeightedConcept(pair, "slightly") for pair in pairs])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "strongly",
        'hugely suffix("a")',
        "strongly nosuch(1)",
        "strongly suffix(a)",
        'strongly suffix("a"',
        'strongly suffix("a") suffix("b")',
        'strongly near(13, "a")',
        'strongly casing("odd")',
        'strongly words("Said")',
        'strongly suffix("a"); step 0, rest 0',
        'strongly recent(0, suffix("a"))',
        'except strongly suffix("a")',
        'strongly suffix("a") $',
        "strongly position(1.5, 2)",
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        Predicate.parse(text)
    assert len(str(raised.value)) > 20


@pytest.mark.parametrize("half", ["\ud800", "\\ud800", "\\uDFFF"])
def test_half_a_character_in_a_formula_is_replaced(half: str) -> None:
    """A model can spell it; no log, no hash and no terminal can write it."""
    formula = Predicate.parse(f'strongly words("a{half}b")')
    assert formula == Predicate.parse('strongly words("a\ufffdb")')
