"""Grades that the program finds for named concepts, against a signal whose formula is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from hubel.tools.dissection import (
    Predicate,
    TextView,
    fit_grades,
    parse_formula,
    term_contributions,
)
from hubel.tools.dissection.grammar import parse_concept
from hubel.tools.dissection.predicate import WeightedConcept
from hubel.tools.errors import UsageError

TRUE = 'strongly suffix("ing") + moderately words("monday", "friday") - slightly words("the", "of")'


def scored(text: TextView) -> np.ndarray:
    """Tokens that count: not the first, not padding."""
    at = np.arange(text.tokens.shape[1])
    return (at > 0) & (at < np.asarray(text.length)[:, None])


def test_the_formula_that_made_a_signal_is_found_from_its_concepts_alone(sample: TextView) -> None:
    true = Predicate.parse(f"{TRUE}; step 0.25, rest 1.5")
    concepts = [term.concept for term in true.terms][::-1]
    fitted, left_out, _ = fit_grades(concepts, sample, true.predict_text(sample), scored(sample))
    assert left_out == ()
    weights = {term.concept: term.weight * fitted.step for term in fitted.terms}
    for term in true.terms:
        assert weights[term.concept] == pytest.approx(
            term.weight * true.step, rel=0.02
        )  # the ridge shrinks a little
    assert fitted.rest == pytest.approx(true.rest, abs=0.02)


def test_of_too_many_concepts_those_worth_least_are_left_out(sample: TextView) -> None:
    true, noise = Predicate.parse(f"{TRUE}; step 0.25, rest 0"), np.random.default_rng(1)
    letters = [parse_concept(f'prefix("{letter}")') for letter in "bcdfgpstmwo"]
    signal = true.predict_text(sample) + noise.normal(0, 0.05, sample.tokens.shape)
    fitted = fit_grades(
        [*letters, *(term.concept for term in true.terms)], sample, signal, scored(sample)
    )
    assert {term.concept for term in true.terms} <= {
        term.concept for term in fitted.predicate.terms
    }
    assert len(fitted.predicate.terms) + len(fitted.left_out) == 14
    assert set(fitted.left_out) < set(letters)
    assert "14 concepts; at most 12" in fitted.why


def test_what_a_term_is_worth_is_what_numpys_correlation_loses_without_it(sample: TextView) -> None:
    predicate, mask = Predicate.parse(TRUE), scored(sample)
    signal = predicate.predict_text(sample) + np.random.default_rng(0).normal(0, 2, mask.shape)

    def correlation(terms: tuple) -> float:
        return float(np.corrcoef(Predicate(terms).predict_text(sample)[mask], signal[mask])[0, 1])

    expected = [
        correlation(predicate.terms) - correlation(predicate.terms[:at] + predicate.terms[at + 1 :])
        for at in range(3)
    ]
    assert term_contributions(predicate, sample, signal, mask) == pytest.approx(expected, abs=1e-6)
    assert min(expected) > 0


def test_what_cannot_be_graded_says_why(sample: TextView) -> None:
    signal, mask = np.random.default_rng(0).normal(size=sample.tokens.shape), scored(sample)
    monday, zebra = parse_concept('words("monday")'), parse_concept('words("zebra")')
    with pytest.raises(UsageError, match=r"zebra.*holds nowhere"):
        fit_grades([monday, zebra], sample, signal, mask)
    with pytest.raises(UsageError, match="a concept twice"):
        fit_grades([monday, monday], sample, signal, mask)
    with pytest.raises(UsageError, match="the same activation"):
        fit_grades([monday], sample, np.ones(sample.tokens.shape), mask)


def test_terms_may_be_written_without_grades_and_a_predicate_may_not() -> None:
    written = parse_formula('words("a") - strongly words("b") + after(words("c"))').terms
    assert [(term.grade, term.sign) for term in written] == [("", 1), ("strongly", -1), ("", 1)]
    with pytest.raises(UsageError, match=r'words\("a"\) has no grade'):
        Predicate.parse('words("a")')


def test_the_terms_that_predict_best_by_themselves_come_first(sample: TextView) -> None:
    """Against a loop over all headlines, with numpy's correlation."""
    mask, random = scored(sample), np.random.default_rng(3)
    weights = {"t": 6, "th": 4, "s": 3, "st": -4, "w": -4, "m": -8, "o": -8}
    concepts = [parse_concept(f'prefix("{prefix}")') for prefix in weights]
    steps = [w * c.mask(sample) for w, c in zip(weights.values(), concepts, strict=True)]
    signal = np.sum(steps, axis=0) + random.normal(0, 0.1, mask.shape)
    terms = fit_grades(concepts, sample, signal, mask).predicate.terms

    def correlation(chosen: tuple[WeightedConcept, ...]) -> float:
        return float(np.corrcoef(Predicate(chosen).predict_text(sample)[mask], signal[mask])[0, 1])

    best = max((c for size in (1, 2, 3) for c in combinations(terms, size)), key=correlation)
    assert set(terms[:3]) == set(best)
    assert correlation(best) > 0.5
