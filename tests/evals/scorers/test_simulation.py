from __future__ import annotations

import time

import numpy as np
import pytest

from hubel.evals.floors import ExploreSignal, fit_floor_predictions
from hubel.evals.scorers import registry
from hubel.evals.scorers.registry import ScoringTask
from hubel.evals.scorers.simulation import evidence_for_verdict, score_simulation, top_and_random
from hubel.evals.statistics.correlation import pearson
from hubel.evals.statistics.sample import Sample
from hubel.tools.errors import UsageError


def test_the_registered_scorer_gives_both_texts(make_sample):
    rows = registry.get_scorer("simulation")(ScoringTask(make_sample(), "select"))
    assert [(row.scorer, row.split, row.text) for row in rows] == [
        ("simulation", "select", "random"),
        ("simulation", "select", "top_and_random"),
    ]


def test_random_text_is_every_token(make_sample):
    sample = make_sample()
    score = score_simulation(ScoringTask(sample, "holdout"))
    assert score.value == pearson(sample)
    assert score.low is not None
    assert score.high is not None
    assert score.low < score.value < score.high


def test_top_and_random_is_the_strongest_and_as_many_others(make_sample):
    sample = make_sample(contexts=50)
    chosen = top_and_random(sample, seed=1)
    strength = np.abs(sample.true).max(axis=1)
    assert len(set(chosen.tolist())) == 10
    assert set(chosen[:5]) == set(np.argsort(strength)[-5:])
    assert not np.array_equal(chosen[5:], top_and_random(sample, seed=2)[5:])
    score = score_simulation(ScoringTask(sample, "holdout", seed=1), "top_and_random")
    mask = sample.mask[chosen]
    assert score.value == pytest.approx(
        np.corrcoef(sample.predicted[chosen][mask], sample.true[chosen][mask])[0, 1]
    )


@pytest.mark.parametrize(("contexts", "expected"), [(1, 1), (3, 2), (7, 6)])
def test_a_small_split_is_halved(make_sample, contexts, expected):
    assert len(top_and_random(make_sample(contexts=contexts))) == expected


def test_a_context_of_one_token_is_not_drawn(make_sample):
    sample = make_sample(contexts=12)
    mask = sample.mask.copy()
    mask[4] = False
    assert 4 not in top_and_random(
        Sample(sample.predicted, sample.true, mask, sample.document), count=50
    )


def test_weigh_compares_with_the_best_trivial(make_sample):
    sample = make_sample(contexts=80, weight=2.0, documents=40)
    tokens = np.random.default_rng(0).integers(0, 9, sample.true.shape)
    explore = ExploreSignal(
        tokens, sample.true, sample.mask
    )  # learns on the scored text itself: as good as it can get
    task = ScoringTask(sample, "holdout", fit_floor_predictions(explore, tokens))
    evidence = evidence_for_verdict(task)
    assert evidence.trivial == "position"
    assert evidence.p < 1e-6
    assert evidence.fitted
    assert evidence.active_documents == len(np.unique(sample.document))
    trivial = score_simulation(task).floors.trivial
    assert trivial is not None
    assert evidence.over_trivial.value == pytest.approx(pearson(sample) - trivial)


def test_the_same_seed_gives_the_same_bits(make_sample):
    task = ScoringTask(make_sample(), "holdout", seed=4)
    assert registry.get_scorer("simulation")(task) == registry.get_scorer("simulation")(task)
    assert evidence_for_verdict(task) == evidence_for_verdict(task)


def test_one_target_on_a_holdout_like_the_demos_is_cheap(make_sample):
    sample = make_sample(contexts=470, seq=64, documents=100)
    tokens = np.random.default_rng(0).integers(0, 3_000, sample.true.shape)
    started = time.process_time()
    task = ScoringTask(
        sample,
        "holdout",
        fit_floor_predictions(
            ExploreSignal(tokens, sample.true, sample.mask), tokens, sample.predicted
        ),
    )
    registry.get_scorer("simulation")(task)
    evidence_for_verdict(task)
    assert time.process_time() - started < 0.5  # measured: 0.07 s


def test_registry_refuses_a_taken_name_and_lists_the_known():
    with pytest.raises(
        ValueError,
        match=r"'simulation' is registered already, by hubel\.evals\.scorers\.simulation",
    ):
        registry.scorer("simulation")(lambda task: [])
    with pytest.raises(UsageError, match=r"no scorer 'simulatoin'; known: .*simulation"):
        registry.get_scorer("simulatoin")
    assert registry.scorer_names() == sorted(registry.scorer_names())
