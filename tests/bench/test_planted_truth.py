"""Truth of planted units: every number against a case where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, spearmanr

from hubel.bench.planted_truth import (
    PlantedResult,
    auroc,
    calibration,
    cross_scores,
    discrimination,
    firing,
    is_decidable,
    is_recovered,
    r_truth,
    rank_correlation,
    summary,
)
from hubel.evals.statistics.correlation import pearson
from hubel.evals.statistics.sample import ActivityLevel, Sample

N, SEQ = 60, 16
MASK = np.ones((N, SEQ), bool)
MASK[:, 0] = False
DOCUMENT = np.repeat(np.arange(N // 2), 2)


def sample(predicted: np.ndarray, true: np.ndarray) -> Sample:
    return Sample(predicted, true, MASK, DOCUMENT)


def truth(density: float, seed: int = 0, strength: float = 3.0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random((N, SEQ)) < density, strength, 0.0)


def test_the_truth_itself_is_right_in_every_way() -> None:
    true = truth(0.1)
    assert r_truth(sample(true, true)) == pytest.approx(1)
    assert firing(sample(true, true), 3.0) == (1.0, 1.0)
    assert firing(sample(7 + true / 10, true), 3.0) == (1.0, 1.0), "neither rest nor scale matter"


def test_firing_counts_tokens() -> None:
    true, predicted = np.zeros((N, SEQ)), np.zeros((N, SEQ))
    true[0, 1:5] = 3.0  # fires on four
    predicted[0, 3:9] = (
        1.0  # says six, two of them right; the strongest four stand for an activation of 3
    )
    predicted[1, 1:9] = 0.49  # below half of that: says nothing
    rates = firing(sample(predicted, true), 3.0)
    assert rates.precision == pytest.approx(2 / 6)
    assert rates.recall == pytest.approx(2 / 4)


def test_a_prediction_that_is_too_wide_has_recall_and_little_precision() -> None:
    true = np.zeros((N, SEQ))
    true[:, 1:3] = 2.0
    predicted = np.zeros((N, SEQ))
    predicted[:, 1:7] = 2.0 * 2 / 6  # least squares predicts the mean where it cannot tell
    assert firing(sample(predicted, true), 2.0) == (pytest.approx(1 / 3), 1.0)


def test_a_weak_part_fires_too() -> None:
    true = np.zeros((N, SEQ))
    true[0, 1:5], true[1, 1:5] = 4.0, 1.0
    assert firing(sample(true, true), 1.0) == (1.0, 1.0)


def test_the_wrong_side_is_wrong() -> None:
    true = np.zeros((N, SEQ))
    true[0, 1:5], true[1, 1:5] = 2.0, -2.0
    predicted = np.abs(true)
    assert firing(sample(predicted, true), 2.0) == (0.5, 0.5)


def test_position_0_does_not_count() -> None:
    true, predicted = np.zeros((N, SEQ)), np.zeros((N, SEQ))
    true[:, 0], true[1, 1], predicted[:, 0], predicted[0, 1] = 5.0, 5.0, 5.0, 5.0
    assert firing(sample(predicted, true), 5.0) == (0.0, 0.0)


def test_what_never_fires_has_no_precision() -> None:
    true = truth(0.1)
    assert firing(sample(np.zeros((N, SEQ)), true), 3.0) == (None, 0.0)
    assert firing(sample(true, np.zeros((N, SEQ))), 3.0) == (None, None)


def decidable(predicted: np.ndarray, true: np.ndarray, document: np.ndarray = DOCUMENT) -> bool:
    sample = Sample(predicted, true, MASK, document)
    return is_decidable(sample, ActivityLevel.of(sample.true[MASK]))


def test_decidable_is_what_a_perfect_explanation_can_show() -> None:
    rng, true = np.random.default_rng(1), truth(0.05)
    noise = rng.standard_normal((N, SEQ))
    assert decidable(true, true + 0.1 * noise)
    assert not decidable(true, true + 20 * noise)
    assert not decidable(np.zeros((N, SEQ)), noise), "a unit that never fires here"
    one_document = np.zeros(N, int)
    assert not decidable(true, true, one_document), "one document gives no interval"


@pytest.mark.parametrize(("documents", "expected"), [(9, False), (10, True)])
def test_a_unit_that_no_verdict_could_keep_is_not_decidable(documents: int, expected: bool) -> None:
    """Active by the verdict's rule: by the unit's own range, so that noise is no activation."""
    true = np.zeros((N, SEQ))
    true[: 2 * documents, 3] = 3.0
    signal = true + 0.1 * np.random.default_rng(0).standard_normal(true.shape)
    assert pearson(sample(true, signal)) > 0.8
    assert decidable(true, signal) == expected
    assert is_decidable(sample(true, signal), None), "in old runs any signal but 0 was active"


def test_recovery_needs_a_kept_and_true_explanation() -> None:
    assert is_recovered(True, 0.7)
    assert not is_recovered(True, 0.69)
    assert not is_recovered(False, 1.0)
    assert not is_recovered(True, None)


def test_cross_scores_are_pearson_of_every_pair() -> None:
    truths = [truth(0.1, seed) for seed in range(3)] + [np.zeros((N, SEQ))]
    signals = [t + np.random.default_rng(9).standard_normal(t.shape) for t in truths]
    scores = cross_scores(truths, signals, MASK)
    expected = [[pearson(sample(t, s)) for s in signals] for t in truths]
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    assert (scores[3] == 0).all(), "a constant says nothing"


def test_auroc_is_that_of_mann_whitney() -> None:
    rng = np.random.default_rng(0)
    right, wrong = rng.integers(0, 9, 40).astype(float), rng.integers(0, 7, 70).astype(float)
    expected = mannwhitneyu(right, wrong)[0] / (40 * 70)
    assert auroc(right, wrong) == pytest.approx(expected)
    assert auroc(np.ones(5), np.ones(7)) == 0.5
    assert auroc(np.ones(5), np.zeros(0)) is None


def test_discrimination_takes_own_against_others() -> None:
    assert discrimination(np.eye(4)) == 1.0
    assert discrimination(np.ones((4, 4))) == 0.5
    assert discrimination(1 - np.eye(4)) == 0.0


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 50).astype(float), rng.integers(0, 6, 50).astype(float)
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y)[0])
    assert rank_correlation(np.ones(4), np.arange(4.0)) is None


def unit(id: str, **rest: object) -> PlantedResult:
    return PlantedResult(id, f"mlp.0.{id}", **rest)  # pyright: ignore[reportArgumentType]


RESULTS = [
    unit("a", kept=True, recovered=True, decidable=True, family="x", r=0.9, r_truth=0.95),
    unit("b", kept=True, recovered=False, decidable=True, family="x", r=0.5, r_truth=0.6),
    unit("c", kept=True, recovered=True, decidable=False, family="y", r=0.7, r_truth=0.8),
    unit("d", kept=False, decidable=True, family="y"),
    unit("n1", kept=True, null="noise", family="n", r=0.3),
    *(unit(f"n{i}", kept=False, null="shuffled", family="n") for i in range(2, 5)),
    unit("k", kept=True, control="rotated", family="k", r=0.4),
]


def test_the_summary_counts_decidable_units_and_nulls() -> None:
    totals = summary(RESULTS)
    assert totals["recovered"] == pytest.approx(1 / 3), "a and b and d are decidable, c is left out"
    assert totals["false_keep"] == 0.25
    assert totals["undecidable"] == 1
    assert totals["by_family"] == {
        "x": {"recovered": 1, "states_meaning": 0, "decidable": 2, "units": 2},
        "y": {"recovered": 0, "states_meaning": 0, "decidable": 1, "units": 2},
    }
    assert totals["false_keep_interval"][0] < 0.25 < totals["false_keep_interval"][1]
    assert (totals["nulls"], totals["controls"], totals["controls_kept"]) == (4, 1, 1)


def test_nothing_gives_no_rate() -> None:
    totals = summary([])
    assert totals["recovered"] is None
    assert totals["false_keep"] is None
    assert totals["recovered_interval"] is None


def test_calibration_is_over_planted_units_with_both_numbers() -> None:
    totals = calibration(RESULTS)
    assert totals["units"] == 3
    assert totals["spearman"] == pytest.approx(1)
    assert [(b["low"], b["units"]) for b in totals["bins"]] == [
        (0.0, 0),
        (0.2, 0),
        (0.4, 1),
        (0.6, 1),
        (0.8, 1),
    ]
    assert totals["bins"][-1]["score"] == pytest.approx(0.9)
    assert calibration([])["spearman"] is None


def test_a_line_has_the_keys_of_the_contract() -> None:
    assert list(RESULTS[0].to_json()) == [
        "id", "target", "kept", "explanation", "r_truth", "precision", "recall", "decidable", "recovered",
        "states_meaning", "null", "control",
    ]  # fmt: skip
