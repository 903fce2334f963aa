"""The area under the ROC curve over groups: against scikit-learn, and how often it holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from hubel.evals.statistics.auc import auc_over_groups
from hubel.tools.errors import UsageError


def scored(seed: int, groups: int, of_group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two classes one deviation apart, most of which is shared within a group."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), of_group)
    classes = (group % 2 == 0).astype(int)
    noise = random.normal(size=groups)[group] * 0.9**0.5 + random.normal(size=len(group)) * 0.1**0.5
    return noise + classes, classes, group


def test_the_area_is_that_of_scikit_learn_also_with_ties() -> None:
    scores, classes, group = scored(0, 30, 4)
    for given in (scores, scores.round(), np.zeros_like(scores)):
        value = auc_over_groups(given, classes, group).value
        assert value == pytest.approx(roc_auc_score(classes, given))


def test_intervals_hold_the_truth_where_rows_of_a_group_are_alike() -> None:
    truth = float(ndtr(1 / 2**0.5))
    held = [0, 0]  # by groups, and as if each row were alone
    for seed in range(60):
        scores, classes, group = scored(seed, 40, 5)
        for place, rows_of in enumerate((group, np.arange(len(group)))):
            _, low, high = auc_over_groups(scores, classes, rows_of)
            assert low is not None
            assert high is not None
            held[place] += low <= truth <= high
    assert held[0] >= 52  # three standard errors below 57
    assert held[1] < 48


def test_few_groups_have_no_interval_and_one_class_no_area() -> None:
    scores, classes, group = scored(0, 14, 4)
    assert auc_over_groups(scores, classes, group)[1:] == (None, None)
    with pytest.raises(UsageError, match="all 56 rows are of one class"):
        auc_over_groups(scores, np.ones(56, dtype=int), group)
