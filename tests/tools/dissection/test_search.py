"""The search finds what was planted, nothing in noise, the same twice, and says it within the limits."""

from __future__ import annotations

from collections.abc import Callable

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
from hubel.tools.dissection.candidates import FOLDS
from hubel.tools.dissection.greedy import (
    BEST_PER_CHANNEL,
    GreedySearch,
    is_category,
    is_concept,
    is_token,
)
from hubel.tools.dissection.predicate import MAX_CONCEPTS, limit_problem
from hubel.tools.dissection.ridge import RidgeMoments, cv_gain, graded_predicate, in_sample_gain
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
    assert {c.origin for c in rivals} == {"full", "short", "tokens only", "categories only"}
    assert [c.r_explore_cv for c in rivals] == sorted(
        (c.r_explore_cv for c in rivals), reverse=True
    )
    for candidate in rivals:
        assert limit_problem(candidate.predicate.terms) == ""
        assert Predicate.parse(candidate.predicate.to_text()) == candidate.predicate


def test_each_rival_is_of_its_kind(rivals: list[ScoredFormula]) -> None:
    of = {c.origin: [t.concept for t in c.predicate.terms] for c in rivals}
    assert len(of["short"]) <= 5
    assert of["tokens only"]
    assert all(is_token(c) for c in of["tokens only"])
    assert of["categories only"]
    assert all(is_category(c) for c in of["categories only"])
    assert len(of["full"]) > len(of["short"])


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
    assert len(best.literals()) <= 4


SIMPLE = ("token", "suffix", "prefix", "casing", "kind", "letters", "position")


def plain_greedy(candidates: CandidateMatrix, signal: np.ndarray) -> Predicate:
    """Orthogonal matching pursuit: twelve simple concepts by in-sample gain, refitted after each.

    It knows no lists, no neighbourhoods, no cross-validation and no swaps.
    """
    values = np.asarray(signal, dtype=np.float64)[candidates.keep]
    moments = RidgeMoments.start(values - values.mean(), candidates.fold, FOLDS)
    chosen: list[Concept] = []
    rows = np.array([i for i, c in enumerate(candidates.classes) if c.family in SIMPLE])
    while len(chosen) < MAX_CONCEPTS:
        residual, best = moments.residual(), (0.0, None)
        for channel in candidates.channels:
            sums = candidates.class_members[rows] @ channel.sums_by_type(residual)
            gains = in_sample_gain(sums, channel.class_counts[rows])
            for i in np.argsort(-gains, kind="stable")[: MAX_CONCEPTS + 1]:
                concept = channel.concept(candidates.classes[rows[i]])
                if gains[i] > best[0] and concept not in chosen:
                    best = (float(gains[i]), concept)
        if best[1] is None:
            break
        chosen.append(best[1])
        moments = moments.added(candidates.column(best[1]))
    return graded_predicate(chosen, moments, float(values.mean()))


def test_the_full_search_beats_its_baselines_on_other_text(
    sample: TextView, candidates: CandidateMatrix
) -> None:
    signal, other = mixed(sample), world.text(sample.lexicon, seed=9)
    full = next(c.predicate for c in explained(sample, candidates, signal) if c.origin == "full")
    everywhere = np.ones(sample.tokens.shape, dtype=bool)
    ten = ten_weighted_tokens(sample.tokens, sample.length, signal, everywhere, sample.lexicon)
    scores = [r(p, mixed(other), other) for p in (full, plain_greedy(candidates, signal), ten)]
    assert scores[0] > max(scores[1:])
    assert min(scores) > 0.2


@pytest.mark.parametrize("allowed", [is_concept, is_token, is_category])
def test_concepts_are_scored_as_by_sums_over_all_positions(
    allowed: Callable[[Concept], bool], sample: TextView, candidates: CandidateMatrix
) -> None:
    signal = mixed(sample)[candidates.keep].astype(np.float64)
    residual, min_gain = signal - signal.mean(), 25 * float(signal.var())
    search = GreedySearch(candidates, signal, FormulaLimits(), allowed)
    shown = {s.concept: s.gain for s in search._scored_concepts(residual, min_gain)}
    folds = [candidates.fold == f for f in range(FOLDS)]
    for channel in candidates.channels:
        naive: dict[Concept, float] = {}
        for concept in filter(allowed, map(channel.concept, candidates.classes)):
            column = candidates.column(concept)
            sums = np.array([[residual[f] @ column[f] for f in folds]])
            counts = np.array([[column[f].sum() for f in folds]])
            if in_sample_gain(sums, counts)[0] >= min_gain:
                naive[concept] = float(cv_gain(sums, counts)[0])
        best = sorted(naive, key=lambda concept: -naive[concept])[: BEST_PER_CHANNEL // 2]
        assert [shown[concept] for concept in best] == pytest.approx([naive[c] for c in best])
