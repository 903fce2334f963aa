"""Scores of a formula's parts against naive loops, closed forms, and units whose right value is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from hubel.evals.floors import ExploreSignal, by_token, count_on_explore, fit_floor_predictions
from hubel.evals.formula_parts import NamedTerm, PartPredictions, formula_parts
from hubel.evals.score import Score
from hubel.evals.scorers.beyond_lookup import partial_r
from hubel.evals.scorers.registry import FORMULA_SCORERS, ScoringTask
from hubel.evals.scorers.score_all import Outcome, score_all
from hubel.evals.statistics.sample import Sample
from hubel.tools.dissection import Predicate
from tests.support import world

CONTEXTS, SEQ, VOCABULARY = 60, 20, 300


def make_task(seed: int = 0, noise: float = 0.5, **changes: Any) -> ScoringTask:
    """A two-sided unit of tokens and noise, with a coarse prediction that has few distinct values."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.geometric(0.02, (2 * CONTEXTS, SEQ)), VOCABULARY)
    truth = np.sin(1.7 * tokens)
    true = truth + noise * rng.standard_normal(tokens.shape)
    mask = np.broadcast_to(np.arange(SEQ) > 0, (CONTEXTS, SEQ))
    explore = ExploreSignal(tokens[:CONTEXTS], true[:CONTEXTS], mask)
    tokens, truth, true = tokens[CONTEXTS:], truth[CONTEXTS:], true[CONTEXTS:]
    predicted = np.round(2 * truth + 0.3 * rng.standard_normal(truth.shape))
    parts = two_terms(np.round(truth), np.sign(truth), truth > 0.9, truth < -0.9)
    sample = Sample(predicted, true, mask, np.arange(CONTEXTS) // 3)
    task = ScoringTask(
        sample,
        "holdout",
        fit_floor_predictions(explore, tokens),
        seed,
        parts=parts,
        seen=count_on_explore(explore, tokens),
    )
    return replace(task, **changes)


def two_terms(meaning, headline, rises, falls) -> PartPredictions:
    """A headline of a term with a weight above 0 and one below."""
    return PartPredictions(meaning, headline, (NamedTerm(1, rises), NamedTerm(-1, falls)))


def outcome_of(task: ScoringTask, name: str) -> Outcome:
    (outcome,) = score_all(task, [name])
    assert not outcome.failure
    return outcome


def score_of(task: ScoringTask, name: str) -> Score:
    outcome = outcome_of(task, name)
    assert not outcome.skipped, outcome.skipped
    (score,) = outcome.scores
    return score


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def test_meaning_and_headline_are_the_r_of_the_parts_alone():
    task = make_task()
    assert task.parts is not None
    mask, true = task.sample.mask, task.sample.true
    for name in ("meaning", "headline"):
        expected = correlation(getattr(task.parts, name)[mask], true[mask])
        assert score_of(task, name).value == pytest.approx(expected, abs=1e-12)


def test_parts_are_those_of_the_printed_formula():
    lexicon = world.lexicon()
    text = world.text(lexicon, contexts=30, seed=0)
    printed = 'extremely suffix("ay") - strongly prefix("s") + slightly token(" said")'
    predicate = Predicate.parse(f"{printed}; step 0.5, rest 0.25")
    parts = formula_parts(predicate, text)
    endings = np.array([string.strip().lower().endswith("ay") for string in lexicon.strings])
    starts = np.array([string.strip().lower().startswith("s") for string in lexicon.strings])
    expected = 0.25 + 0.5 * (16 * endings[text.tokens] - 8.0 * starts[text.tokens])
    np.testing.assert_allclose(parts.meaning[text.real], expected[text.real])
    np.testing.assert_array_equal(parts.headline, parts.meaning)
    np.testing.assert_array_equal(parts.rises[text.real], endings[text.tokens][text.real])
    np.testing.assert_array_equal(parts.falls[text.real], starts[text.tokens][text.real])


def naive_coverage(task: ScoringTask) -> tuple[float, float]:
    """Share of the 50 strongest tokens that are covered, and its expectation at random tokens."""
    assert task.parts is not None
    mask = task.sample.mask
    true, rises, falls = (
        values[mask].tolist() for values in (task.sample.true, task.parts.rises, task.parts.falls)
    )
    ranked = sorted((abs(y) for y in true if y), reverse=True)
    smallest = ranked[:50][-1]
    strong = [i for i, y in enumerate(true) if y and abs(y) >= smallest]
    covered = [i for i in strong if (true[i] > 0 and rises[i]) or (true[i] < 0 and falls[i])]
    by_side = [rises if true[i] > 0 else falls for i in strong]
    chance = sum(sum(holds) / len(holds) for holds in by_side) / len(strong)
    return len(covered) / len(strong), chance


@pytest.mark.parametrize("seed", range(4))
def test_coverage_equals_a_naive_loop(seed):
    task = make_task(seed)
    if seed == 3:  # many ties at the fiftieth
        task = replace(task, sample=replace(task.sample, true=np.round(task.sample.true)))
    score = score_of(task, "coverage")
    value, chance = naive_coverage(task)
    assert score.value == pytest.approx(value, abs=1e-12)
    assert score.floors.chance == pytest.approx(chance, abs=1e-12)
    assert score.low is not None
    assert score.high is not None
    assert score.low <= score.value <= score.high


def test_a_term_of_the_wrong_sign_covers_nothing():
    task = make_task()
    assert task.parts is not None
    terms = (NamedTerm(-term.sign, term.holds) for term in task.parts.terms)
    swapped = replace(task.parts, terms=tuple(terms))
    assert score_of(task, "coverage").value > 0.5
    assert score_of(replace(task, parts=swapped), "coverage").value == 0.0


def test_terms_that_hold_everywhere_cover_everything_and_so_does_chance():
    everywhere = np.ones((CONTEXTS, SEQ), bool)
    flat = two_terms(np.zeros((CONTEXTS, SEQ)), np.zeros((CONTEXTS, SEQ)), everywhere, everywhere)
    score = score_of(make_task(parts=flat), "coverage")
    assert (score.value, score.low, score.high, score.floors.chance) == (1.0, 1.0, 1.0, 1.0)


def naive_strength(task: ScoringTask) -> float:
    assert task.parts is not None
    true = task.sample.true[task.sample.mask]
    middle, spread = np.median(true), true.std()
    of_terms = []
    for sign, holds, _ in task.parts.terms:
        held = [
            (y - middle) / spread for y, h in zip(true, holds[task.sample.mask], strict=True) if h
        ]
        of_terms.append(sign * sum(held) / len(held) if len(held) >= 5 else 0.0)
    return sum(of_terms) / len(of_terms)


@pytest.mark.parametrize("seed", range(3))
def test_strength_equals_a_naive_loop(seed):
    task = make_task(seed)
    score = score_of(task, "strength")
    assert score.value == pytest.approx(naive_strength(task), abs=1e-12)
    assert score.value > 1
    assert score.low is not None
    assert score.high is not None
    assert score.low < score.value < score.high
    assert task.parts is not None
    terms = [NamedTerm(-term.sign, term.holds) for term in task.parts.terms]
    swapped = replace(task, parts=replace(task.parts, terms=tuple(terms)))
    assert score_of(swapped, "strength").value == pytest.approx(-score.value)


def test_a_term_that_holds_nearly_nowhere_has_no_strength():
    task = make_task()
    nowhere = np.zeros((CONTEXTS, SEQ), bool)
    nowhere[0, 3:7] = True
    true = task.sample.true.copy()
    true[0, 3:7] = 100.0
    parts = two_terms(true, true, nowhere, np.zeros_like(nowhere))
    loud = replace(task, sample=replace(task.sample, true=true), parts=parts)
    assert score_of(loud, "strength").value == 0.0
    nowhere[0, 7] = True
    assert score_of(loud, "strength").value > 1.0


def test_fewer_strong_tokens_than_fifty_all_count():
    task = make_task()
    true = np.zeros_like(task.sample.true)
    true[3, 4:8] = 2.0
    holds = np.zeros(true.shape, bool)
    holds[3, 4:7] = True
    parts = two_terms(true, true, holds, np.zeros_like(holds))
    task = replace(task, sample=replace(task.sample, true=true), parts=parts)
    assert score_of(task, "coverage").value == 0.75


@pytest.mark.parametrize(("name", "most"), [("unseen", 0), ("rare", 2)])
def test_unseen_and_rare_are_the_r_over_these_tokens(name, most):
    task = make_task()
    assert task.seen is not None
    chosen = task.sample.mask & (task.seen <= most)
    assert 20 < chosen.sum() < task.sample.mask.sum() / 2
    score = score_of(task, name)
    expected = correlation(task.sample.predicted[chosen], task.sample.true[chosen])
    assert score.value == pytest.approx(expected, abs=1e-12)
    lookup, listed = task.floor_predictions.token_lookup, task.floor_predictions.token_list
    assert lookup is not None
    assert listed is not None
    if name == "unseen":
        assert (score.floors.token_lookup, score.floors.list) == (0.0, 0.0)
    else:
        expected = correlation(lookup[chosen], task.sample.true[chosen])
        assert score.floors.token_lookup == pytest.approx(expected)


def test_a_prediction_that_is_right_on_unseen_words_alone_has_unseen_one():
    task = make_task()
    assert task.seen is not None
    predicted = np.where(task.seen == 0, task.sample.true, 0.0)
    task = replace(task, sample=task.sample.with_prediction(predicted))
    assert score_of(task, "unseen").value == pytest.approx(1.0, abs=1e-12)
    assert score_of(task, "rare").value < 1.0


def naive_salient(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean AUROC of both sides by scikit-learn."""
    count = math.ceil(0.01 * len(true))
    values = []
    for sign in (1, -1):
        strongest = np.sort(sign * true)[-count:]
        label = (sign * true >= strongest[strongest > 0].min()) if strongest[-1] > 0 else None
        if label is not None:
            values.append(roc_auc_score(label, sign * predicted))
    return float(np.mean(values))


@pytest.mark.parametrize("side", ["both", "+", "-"])
def test_salient_equals_scikit_learn(side):
    task = make_task(1)
    true = {"both": task.sample.true, "+": np.maximum(task.sample.true, 0)}.get(side)
    if true is None:
        true = np.minimum(task.sample.true, 0)
    task = replace(task, sample=replace(task.sample, true=true))
    mask = task.sample.mask
    score = score_of(task, "salient")
    assert score.value == pytest.approx(
        naive_salient(task.sample.predicted[mask], true[mask]), abs=1e-12
    )
    lookup = task.floor_predictions.token_lookup
    assert lookup is not None
    assert score.floors.token_lookup == pytest.approx(naive_salient(lookup[mask], true[mask]))
    assert score.low is not None
    assert score.high is not None
    assert score.low < score.value < score.high


def test_beyond_lookup_is_the_correlation_of_residuals():
    task = make_task()
    sample, lookup = task.sample, task.floor_predictions.token_lookup
    assert lookup is not None
    x, y, z = sample.predicted[sample.mask], sample.true[sample.mask], lookup[sample.mask]
    residuals = [
        values - LinearRegression().fit(z[:, None], values).predict(z[:, None]) for values in (x, y)
    ]
    assert score_of(task, "beyond_lookup").value == pytest.approx(correlation(*residuals))


def test_what_the_lookup_knows_already_is_nothing_beyond_it():
    task = make_task()
    lookup = task.floor_predictions.token_lookup
    assert lookup is not None
    same = replace(task, sample=task.sample.with_prediction(3 * lookup + 1))
    assert score_of(same, "beyond_lookup").value == 0.0
    noise = np.random.default_rng(0).standard_normal(task.sample.true.shape)
    known = replace(task.sample, true=lookup + noise, predicted=lookup + 2 * noise)
    assert partial_r(known, lookup).value == pytest.approx(1.0)


@pytest.mark.parametrize("name", FORMULA_SCORERS)
def test_a_constant_prediction_scores_exactly_chance(name):
    flat = np.full((CONTEXTS, SEQ), 0.3)
    nowhere = np.zeros((CONTEXTS, SEQ), bool)
    task = make_task(parts=two_terms(flat, flat, nowhere, nowhere))
    task = replace(task, sample=task.sample.with_prediction(flat))
    score = score_of(task, name)
    chance = 0.5 if name == "salient" else 0.0
    assert (score.value, score.floors.chance) == (chance, chance)
    assert (score.low, score.high) == (chance, chance)


@pytest.mark.parametrize("name", FORMULA_SCORERS)
def test_a_dead_unit_has_a_stated_value_or_none(name):
    task = make_task()
    task = replace(task, sample=replace(task.sample, true=np.zeros_like(task.sample.true)))
    outcome = outcome_of(task, name)
    if name in ("coverage", "salient"):
        assert "no token has a signal" in outcome.skipped
    else:
        assert outcome.value == 0.0


@pytest.mark.parametrize("name", FORMULA_SCORERS)
def test_words_without_a_formula_are_skipped_with_the_reason(name):
    outcome = outcome_of(make_task(predicts=False, parts=None), name)
    assert "in words only" in outcome.skipped


@pytest.mark.parametrize("name", ["unseen", "rare"])
def test_a_split_without_such_tokens_has_no_score(name):
    outcome = outcome_of(make_task(seen=np.full((CONTEXTS, SEQ), 3)), name)
    assert "no token that explore has at most" in outcome.skipped


@settings(max_examples=20)
@given(seed=st.integers(0, 20), scale=st.floats(0.01, 100))
def test_order_of_documents_and_scale_change_nothing(seed, scale):
    task = make_task(seed)
    assert task.parts is not None
    assert task.seen is not None
    order = np.random.default_rng(seed).permutation(CONTEXTS)
    parts = two_terms(
        scale * task.parts.meaning[order],
        scale * task.parts.headline[order],
        task.parts.rises[order],
        task.parts.falls[order],
    )
    sample = task.sample.take(order)
    moved = replace(
        task,
        sample=replace(sample, predicted=scale * sample.predicted + 1, true=scale * sample.true),
        floor_predictions=task.floor_predictions.take(order),
        parts=parts,
        seen=task.seen[order],
    )
    for name in FORMULA_SCORERS:
        assert score_of(moved, name).value == pytest.approx(score_of(task, name).value, abs=1e-9)


def test_two_contexts_of_one_document_give_no_interval():
    task = make_task()
    one = replace(task.sample, document=np.zeros(CONTEXTS, int), group=None)
    for name in FORMULA_SCORERS:
        score = score_of(replace(task, sample=one), name)
        assert (score.low, score.high) == (None, None)


def test_list_scores_the_floor_by_itself():
    task = make_task()
    score = score_of(task, "list")
    listed = task.floor_predictions.token_list
    assert listed is not None
    mask = task.sample.mask
    assert score.value == pytest.approx(correlation(listed[mask], task.sample.true[mask]))
    assert score.value == score.floors.list


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMULA_SCORERS)
def test_intervals_cover_the_value_of_the_whole_population(name):
    """Documents are drawn from 300; the value on all of them is what an interval should hold."""
    population = make_population()
    value = score_of(population, name).value
    rng = np.random.default_rng(1)
    covered = []
    for draw in range(100):
        documents = rng.choice(300, 60, replace=False)
        contexts = np.flatnonzero(np.isin(population.sample.document, documents))
        score = score_of(restricted(population, contexts, seed=draw), name)
        assert score.low is not None
        assert score.high is not None
        covered.append(score.low <= value <= score.high)
    # documents drawn without replacement from few make intervals a little too wide
    assert np.mean(covered) > 0.88


def make_population() -> ScoringTask:
    """300 documents of two contexts, with the parts of a formula that differ in worth by document."""
    rng = np.random.default_rng(0)
    shape = (600, SEQ)
    tokens = np.minimum(rng.geometric(0.05, (660, SEQ)), VOCABULARY)
    level = np.repeat(rng.gamma(2.0, 0.5, 300), 2)[:, None]
    truth = np.sin(1.7 * tokens)
    true = truth[60:] * level + 0.5 * rng.standard_normal(shape)
    mask = np.broadcast_to(np.arange(SEQ) > 0, shape)
    explore = ExploreSignal(tokens[:60], truth[:60], mask[:60])
    predicted = np.round(2 * truth[60:])
    parts = two_terms(np.round(truth[60:]), np.sign(truth[60:]), predicted > 1, predicted < -1)
    return ScoringTask(
        Sample(predicted, true, mask, np.arange(600) // 2),
        "holdout",
        replace(fit_floor_predictions(explore, tokens[60:]), trivial={}),
        parts=parts,
        seen=count_on_explore(explore, tokens[60:]),
    )


def restricted(task: ScoringTask, contexts: np.ndarray, seed: int) -> ScoringTask:
    assert task.parts is not None
    assert task.seen is not None
    whole = task.parts
    parts = two_terms(
        whole.meaning[contexts],
        whole.headline[contexts],
        whole.rises[contexts],
        whole.falls[contexts],
    )
    return replace(
        task,
        sample=task.sample.take(contexts),
        floor_predictions=task.floor_predictions.take(contexts),
        parts=parts,
        seen=task.seen[contexts],
        seed=seed,
    )


def test_the_lookup_counts_what_it_has_seen():
    tokens = np.array([[5, 6, 6, 7]])
    explore = ExploreSignal(tokens, np.ones((1, 4)), np.array([[False, True, True, True]]))
    scored = np.array([[5, 6, 7, 8]])
    assert count_on_explore(explore, scored).tolist() == [[0, 2, 1, 0]]
    assert by_token(explore, scored)[0].tolist() == [1.0] * 4
