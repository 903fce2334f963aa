"""The protocol against scikit-learn by hand, and on labels whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from hubel.tools.errors import ArgumentError
from hubel.tools.representation.binary_probing import (
    FLIPPED,
    SCARCE,
    TrainTest,
    fit_binary,
    score,
    score_settings,
)


def planted(n: int = 300, n_test: int = 200, width: int = 10, strength: float = 2.0) -> TrainTest:
    random = np.random.default_rng(0)
    y = np.arange(n + n_test) % 2
    x = random.normal(size=(len(y), width))
    x[:, 0] += strength * y
    return TrainTest(x[:n], y[:n], np.arange(n), x[n:], y[n:])


def test_settings_are_what_they_say_and_the_control_reads_nothing() -> None:
    scores = score_settings(planted())
    by_setting = {(s.setting, s.parameter): s for s in scores}
    standard = by_setting["standard", 300]
    assert standard.auc > 0.9
    assert standard.majority == 0.5
    assert abs(by_setting["control", 300].auc - 0.5) < 0.15
    assert [by_setting["scarcity", n].n_train for n in SCARCE] == list(SCARCE)
    assert by_setting["imbalance", 0.1].n_train == 166  # 150 of the first class are nine tenths
    assert standard.auc > by_setting["corruption", FLIPPED[0]].auc
    assert by_setting["scarcity", 8].auc < standard.auc


def test_the_score_is_that_of_the_chosen_regression_fitted_on_all() -> None:
    data = planted(150, strength=1.0)
    fit = fit_binary(data.train, data.classes, data.group)
    scaler = StandardScaler().fit(data.train)
    by_hand = LogisticRegression(C=fit.inverse_penalty, max_iter=1000)
    by_hand.fit(scaler.transform(data.train), data.classes)
    expected = roc_auc_score(
        data.test_classes, by_hand.decision_function(scaler.transform(data.test))
    )
    assert score(data, "standard", 150).auc == pytest.approx(expected)
    assert fit.validation_auc is not None


def test_validation_texts_share_no_group_with_the_others() -> None:
    """A label of groups alone: a validation that splits groups would choose hardly any penalty."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 10)
    x = random.normal(size=(20, 40))[group] + 0.1 * random.normal(size=(200, 40))
    y = random.permutation(np.arange(20) % 2)[group]
    by_group, by_row = fit_binary(x, y, group), fit_binary(x, y, np.arange(200))
    assert by_row.validation_auc == 1.0
    assert by_group.validation_auc is not None
    assert by_group.validation_auc < 0.95


def test_few_texts_have_no_validation() -> None:
    data = planted(12)
    assert fit_binary(data.train, data.classes, data.group)[1:] == (1.0, None)


def test_too_few_of_a_class_is_said() -> None:
    data = planted(100, 30)
    with pytest.raises(ArgumentError, match=r"15 and 15 test texts .* 20 to test on"):
        score_settings(data)
    with pytest.raises(ArgumentError, match="3 classes given; expected two"):
        score_settings(data._replace(classes=np.arange(100) % 3))
