from __future__ import annotations

import numpy as np
import pytest

from hubel.evals.floors import (
    ExploreSignal,
    FloorPredictions,
    OtherTargets,
    best_trivial,
    by_frequency,
    by_list,
    by_position,
    by_token,
    correlation_floors,
    fit_floor_predictions,
)
from hubel.evals.statistics.correlation import pearson
from hubel.evals.statistics.permutation import permuted_r
from hubel.evals.statistics.sample import Sample
from hubel.tools.dissection.baselines import LISTED, fit_token_list
from hubel.tools.dissection.ridge import RIDGE, SHRINK


@pytest.fixture
def explore() -> ExploreSignal:
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.geometric(0.15, (50, 12)), 30)
    signal = np.sin(tokens * 1.7) + 0.3 * rng.standard_normal(tokens.shape)
    return ExploreSignal(tokens, signal, np.broadcast_to(np.arange(12) > 0, tokens.shape))


def test_token_lookup_is_the_mean_with_one_pseudo_count(explore):
    overall = explore.signal[explore.mask].mean()
    tokens = np.array([[1, 5, 29, 4000]])
    for token, predicted in zip(tokens[0], by_token(explore, tokens)[0], strict=True):
        seen = explore.signal[explore.mask & (explore.tokens == token)]
        assert predicted == pytest.approx((seen.sum() + overall) / (len(seen) + 1))


def test_position_zero_teaches_nothing(explore):
    sink = explore._replace(signal=explore.signal + 1e6 * ~explore.mask)
    for fit in (by_token, by_list, by_frequency, by_position):
        np.testing.assert_array_equal(fit(sink, explore.tokens), fit(explore, explore.tokens))


def test_position_is_the_mean_at_this_position(explore):
    overall = explore.signal[explore.mask].mean()
    expected = (explore.signal[:, 3].sum() + overall) / (len(explore.signal) + 1)
    assert by_position(explore, explore.tokens)[:, 3] == pytest.approx(expected)


def test_list_is_the_ridge_of_the_tokens_that_explain_most_alone(explore):
    """Against scikit-learn, for a choice made one token at a time in a loop."""
    from sklearn.linear_model import Ridge

    tokens, signal = explore.tokens[explore.mask], explore.signal[explore.mask]
    centred, gains = signal - signal.mean(), {}
    for token in np.unique(tokens):
        values = centred[tokens == token]
        gains[token] = values.sum() ** 2 / (len(values) + SHRINK)
    chosen = sorted(gains, key=lambda token: -gains[token])[:LISTED]
    assert len(chosen) == LISTED < len(gains)
    columns = tokens[:, None] == np.array(chosen)
    ridge = Ridge(alpha=RIDGE).fit(columns.astype(float), signal)
    listed = fit_token_list(*explore)
    assert listed.tokens.tolist() == chosen
    np.testing.assert_allclose(listed.weights, ridge.coef_, atol=1e-9)
    assert listed.rest == pytest.approx(ridge.intercept_)
    scored = np.array([[*chosen, 4000, 31]])
    expected = [*(ridge.intercept_ + ridge.coef_), ridge.intercept_, ridge.intercept_]
    np.testing.assert_allclose(by_list(explore, scored)[0], expected, atol=1e-9)


def test_a_list_of_a_constant_is_empty_and_predicts_it(explore):
    flat = explore._replace(signal=np.full_like(explore.signal, 2.0))
    assert not len(fit_token_list(*flat).tokens)
    np.testing.assert_allclose(by_list(flat, explore.tokens), 2.0)
    nothing = explore._replace(mask=np.zeros_like(explore.mask))
    np.testing.assert_array_equal(by_list(nothing, explore.tokens), 0.0)


def test_frequency_goes_by_octaves_and_unseen_stands_with_seen_once():
    tokens = np.array([[0, 7, 7, 7, 8, 8, 9]])
    signal = np.array([[99, 1.0, 2, 3, 4, 6, 8]])
    explore = ExploreSignal(tokens, signal, np.array([[False] + [True] * 6]))
    predicted = by_frequency(explore, np.array([[7, 8, 9, 1000]]))[0]
    assert predicted == pytest.approx([(16 + 4) / 6, (16 + 4) / 6, (8 + 4) / 2, (8 + 4) / 2])


def test_trivial_is_the_best_and_never_below_the_constant(explore):
    sample = Sample(explore.signal, explore.signal, explore.mask, np.arange(len(explore.signal)))
    worse, better = -explore.signal, explore.signal + np.cos(explore.tokens)
    assert best_trivial(sample, FloorPredictions(trivial={"worse": worse})).name == "constant"
    best = best_trivial(sample, FloorPredictions(trivial={"worse": worse, "better": better}))
    assert (best.name, best.r) == ("better", pearson(sample.with_prediction(better)))


def test_all_floors_and_null_where_there_is_no_rival(explore):
    half = ExploreSignal(*(part[:25] for part in explore))
    tokens, signal, mask = (part[25:] for part in explore)
    sample = Sample(by_token(half, tokens), signal, mask, np.arange(25))
    floors = correlation_floors(sample, fit_floor_predictions(half, tokens, other=-signal), seed=2)
    assert floors.chance == 0.0
    assert floors.shuffled == pytest.approx(permuted_r(sample, 2, 200).mean())
    assert floors.other == pytest.approx(-1.0)
    assert floors.token_lookup == pearson(sample) > 0.8
    assert floors.trivial == best_trivial(sample, fit_floor_predictions(half, tokens)).r
    bare = correlation_floors(sample, FloorPredictions())
    assert (bare.other, bare.token_lookup, bare.trivial, bare.list) == (None, None, None, None)
    assert floors.list == pearson(sample.with_prediction(by_list(half, tokens)))


TARGETS = ["mlp.0.1", "mlp.1.1", "mlp.1.2-", "mlp.1.3", "head.1.1", "mlp.1.4"]


def test_the_other_target_is_of_the_same_layer_and_has_an_explanation():
    explained = ["mlp.0.1", "mlp.1.1", "mlp.1.2-", "head.1.1", "mlp.1.4"]
    drawn = {OtherTargets(TARGETS, explained, seed).draw("mlp.1.1") for seed in range(50)}
    assert drawn == {"mlp.1.2-", "mlp.1.4"}
    assert OtherTargets(TARGETS, explained, 0).draw("head.1.1") is None


def test_the_draw_of_the_other_target_never_changes():
    """Finished runs replay bit for bit, and `hubel eval` reports the floor of the run's verdict."""
    for seed in range(20):
        rivals = [t for t in TARGETS if t.startswith("mlp.1.") and t != "mlp.1.3"]
        number = np.random.default_rng([seed, TARGETS.index("mlp.1.3")]).integers(len(rivals))
        assert OtherTargets(TARGETS, TARGETS, seed).draw("mlp.1.3") == rivals[number]
