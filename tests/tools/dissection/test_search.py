"""The search finds what was planted, nothing in noise, the same twice, and says it within the limits."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.dissection import (
    CandidateMatrix,
    Concept,
    FormulaLimits,
    Predicate,
    ScoredFormula,
    TextView,
    search_formulas,
    ten_weighted_tokens,
)
from hubel.tools.dissection.candidates import FOLDS, MANY_WORDS, PRICE, WORD_BITS
from hubel.tools.dissection.concepts.base import concept_bits
from hubel.tools.dissection.concepts.words import Words
from hubel.tools.dissection.predicate import MAX_CONCEPTS, limit_problem
from hubel.tools.dissection.residue import list_tokens
from hubel.tools.dissection.ridge import RIDGE, SHRINK, RidgeMoments, graded_predicate
from tests.support import world

PLANTED = [
    'strongly token(" said")',
    'strongly words("monday", "tuesday", "friday", "sunday")',
    'strongly suffix("ing")',
    'strongly casing("upper-case")',
    'strongly kind("number")',
    'strongly place("quotation")',
    'strongly place("brackets")',
    'strongly repeated("token")',
    "strongly position(1, 8)",
    'strongly since(words("monday"))',
    'strongly recent(3, words("said"))',
    'strongly words("of") - strongly words("he")',
    'strongly both(casing("capitalised"), after(words("the")))',
    'strongly suffix("s") + slightly words("told") - strongly kind("quote")',
]


def explained(
    sample: TextView,
    candidates: CandidateMatrix,
    signal: np.ndarray,
    limits: FormulaLimits | None = None,
) -> list[ScoredFormula]:
    document = world.documents(len(sample.tokens))
    everywhere = np.ones(sample.tokens.shape, dtype=bool)
    return search_formulas(
        sample.tokens,
        sample.length,
        document,
        signal,
        everywhere,
        sample.lexicon,
        candidates=candidates,
        limits=limits,
    )


def r(predicate: Predicate, signal: np.ndarray, text: TextView) -> float:
    keep = text.real.copy()
    keep[:, 0] = False
    return float(np.corrcoef(predicate.predict_text(text)[keep], signal[keep])[0, 1])


@pytest.mark.parametrize("printed", PLANTED)
def test_a_planted_signal_is_found_with_few_terms_on_other_text(
    printed: str, sample: TextView, candidates: CandidateMatrix
) -> None:
    truth = Predicate.parse(printed)
    noise = np.random.default_rng(1).normal(0, 0.4, sample.tokens.shape)
    best = explained(sample, candidates, truth.predict_text(sample) + noise)[0].predicate
    other = world.text(sample.lexicon, seed=9)
    assert r(best, truth.predict_text(other), other) > 0.97
    assert len(best.terms) <= len(truth.terms) + 2


def test_noise_gives_the_empty_predicate(sample: TextView, candidates: CandidateMatrix) -> None:
    for seed in range(3):
        formulas = explained(
            sample, candidates, np.random.default_rng(seed).standard_normal(sample.tokens.shape)
        )
        assert [c.predicate.terms for c in formulas] == [()]


@pytest.mark.parametrize("signal", [np.zeros((160, 40)), np.full((160, 40), 3.0)])
def test_a_constant_signal_gives_the_empty_predicate(
    signal: np.ndarray, sample: TextView, candidates: CandidateMatrix
) -> None:
    formulas = explained(sample, candidates, signal)
    assert [c.predicate.terms for c in formulas] == [()]
    assert formulas[0].predicate.rest == signal[0, 0]


@pytest.fixture(scope="module")
def rivals(sample: TextView, candidates: CandidateMatrix) -> list[ScoredFormula]:
    return explained(sample, candidates, mixed(sample))


def mixed(sample: TextView) -> np.ndarray:
    """Many token strengths, a class, a context: more than twelve concepts can say."""
    rng = np.random.default_rng(3)
    by_token = rng.standard_normal(len(sample.lexicon)) ** 3
    parts = Predicate.parse(
        'strongly suffix("ing") - moderately after(kind("number"))'
    ).predict_text(sample)
    return by_token[sample.tokens] + 0.3 * parts + rng.normal(0, 0.5, sample.tokens.shape)


def test_rivals_keep_the_limits_and_come_best_first(rivals: list[ScoredFormula]) -> None:
    assert [c.origin for c in rivals].count("full") == 1
    assert {c.origin for c in rivals} == {"full", "short", "tokens only"}
    assert [c.r_explore_cv for c in rivals] == sorted(
        (c.r_explore_cv for c in rivals), reverse=True
    )
    for candidate in rivals:
        assert limit_problem(candidate.predicate.terms, candidate.predicate.listed) == ""
        assert Predicate.parse(candidate.predicate.to_text()) == candidate.predicate


def test_each_rival_is_of_its_kind(rivals: list[ScoredFormula]) -> None:
    of = {c.origin: c.predicate for c in rivals}
    assert len(of["short"].terms) <= 4
    assert of["tokens only"].terms == ()
    assert 12 < len(of["tokens only"].listed) <= 24
    assert len(of["full"].terms) > len(of["short"].terms)
    assert of["full"].listed


def test_the_same_input_gives_the_same_rivals(
    sample: TextView, candidates: CandidateMatrix, rivals: list[ScoredFormula]
) -> None:
    cache: dict[str, object] = {}
    arguments = (sample.tokens, sample.length, world.documents(len(sample.tokens)), mixed(sample))
    everywhere = np.ones(sample.tokens.shape, dtype=bool)
    for _ in range(2):
        assert search_formulas(*arguments, everywhere, sample.lexicon, cache=cache) == rivals


def test_position_0_and_what_the_mask_leaves_out_change_nothing(
    sample: TextView, candidates: CandidateMatrix
) -> None:
    signal = mixed(sample)
    loud = signal.copy()
    loud[:, 0] = 1e6
    loud[~sample.real] = -1e6
    assert explained(sample, candidates, loud) == explained(sample, candidates, signal)


def test_smaller_limits_are_kept(sample: TextView, candidates: CandidateMatrix) -> None:
    best = explained(sample, candidates, mixed(sample), FormulaLimits(concepts=3, literals=4))[
        0
    ].predicate
    assert 0 < len(best.terms) <= 3
    assert len(best.meaning().literals()) <= 4


def plain_pursuit(candidates: CandidateMatrix, signal: np.ndarray) -> Predicate:
    """Orthogonal matching pursuit: twelve concepts by in-sample gain, refitted after each.

    It knows no prices, no cross-validation, no refined forms, no swaps and no residue.
    """
    values = np.asarray(signal, dtype=np.float64)[candidates.keep]
    moments = RidgeMoments.start(values - values.mean(), candidates.fold, FOLDS)
    chosen: list[Concept] = []
    for _ in range(MAX_CONCEPTS):
        gains = (candidates.rows @ moments.residual()) ** 2 / (candidates.counts + SHRINK)
        best = next(i for i in np.argsort(-gains) if candidates.concepts[i] not in chosen)
        chosen.append(candidates.concepts[best])
        moments = moments.added(candidates.column(chosen[-1]))
    return graded_predicate(chosen, moments, float(values.mean()))


def test_the_full_search_beats_its_baselines_on_other_text(
    sample: TextView, candidates: CandidateMatrix
) -> None:
    signal, other = mixed(sample), world.text(sample.lexicon, seed=9)
    full = next(c.predicate for c in explained(sample, candidates, signal) if c.origin == "full")
    everywhere = np.ones(sample.tokens.shape, dtype=bool)
    ten = ten_weighted_tokens(sample.tokens, sample.length, signal, everywhere, sample.lexicon)
    scores = [r(p, mixed(other), other) for p in (full, plain_pursuit(candidates, signal), ten)]
    assert scores[0] > max(scores[1:])
    assert min(scores) > 0.2


def test_each_row_is_where_its_concept_holds(candidates: CandidateMatrix) -> None:
    step = max(1, len(candidates.concepts) // 300)
    for row in range(0, len(candidates.concepts), step):
        concept = candidates.concepts[row]
        held = np.flatnonzero(candidates.column(concept))
        assert candidates.rows[row].indices.tolist() == held.tolist(), concept.to_text()


def test_gains_are_those_of_sums_over_all_positions(
    sample: TextView, candidates: CandidateMatrix
) -> None:
    signal = mixed(sample)[candidates.keep].astype(np.float64)
    residual = signal - signal.mean()
    everything = np.ones(len(candidates.concepts), dtype=bool)
    best = candidates.best(residual, everything)
    assert [s.gain for s in best] == sorted((s.gain for s in best), reverse=True)
    words = sample.lexicon.word_of_token[sample.types][candidates.current]
    naive = {}
    for concept in candidates.concepts:
        column = candidates.column(concept)
        words_to_say = len(concept.noun().replace("/", " ").split())
        bits = concept_bits(concept) + WORD_BITS * (words_to_say - 1)
        price = PRICE * residual.var() * bits
        if (residual @ column) ** 2 / (column.sum() + SHRINK) <= price:
            continue
        gain = min(
            sum(held_out_gain(residual, column, fold == f) for f in range(FOLDS))
            for fold in (candidates.fold, candidates.word_fold)[
                : 1 + (len(np.unique(words[column > 0])) > MANY_WORDS)
            ]
        )
        if gain > price:
            naive[concept] = gain - price
    assert {s.concept: pytest.approx(s.gain) for s in best} == naive
    assert len(naive) > 20


def held_out_gain(residual: np.ndarray, column: np.ndarray, fold: np.ndarray) -> float:
    """How much a weight from the other folds lowers the squared error on this one."""
    weight = residual[~fold] @ column[~fold] / (column[~fold].sum() + SHRINK)
    before, after = residual[fold], (residual - weight * column)[fold]
    return float(before @ before - after @ after)


def test_a_class_must_hold_on_words_that_its_weight_never_saw(
    sample: TextView, candidates: CandidateMatrix
) -> None:
    """One frequent word fires: its class explains much of it, and is no meaning."""
    truth = Predicate.parse('strongly words("of")').predict_text(sample)
    noise = np.random.default_rng(2).normal(0, 0.4, sample.tokens.shape)
    best = explained(sample, candidates, truth + noise)[0].predicate
    many = {
        c for c, many in zip(candidates.concepts, candidates.on_many_words, strict=True) if many
    }
    assert best.terms[0].concept == Words("of")
    assert not {term.concept for term in best.terms} & many


def test_the_residue_is_that_of_a_naive_loop(sample: TextView, candidates: CandidateMatrix) -> None:
    signal = mixed(sample)[candidates.keep].astype(np.float64)
    residual = signal - signal.mean()
    listed = list_tokens(candidates, residual, 5, step=0.01)
    ids = sample.tokens[candidates.keep]
    gains = {}
    for token in np.unique(ids):
        here = ids == token
        gains[token] = residual[here].sum() ** 2 / (here.sum() + SHRINK)
    best = sorted(gains, key=lambda token: -gains[token])[:5]
    assert [t.token for t in listed.tokens] == [sample.lexicon.strings[t] for t in best]
    weights = [residual[ids == t].sum() / ((ids == t).sum() + RIDGE) for t in best]
    assert [t.weight * listed.step for t in listed.tokens] == pytest.approx(weights, abs=0.005)
