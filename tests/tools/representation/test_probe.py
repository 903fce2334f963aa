"""Probes on labels whose answer is known, and against a plain loop of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from hubel.tools.errors import ArgumentError
from hubel.tools.representation.groups import (
    LabelClasses,
    control_labels,
    group_folds,
    label_classes,
    require_spread,
    shuffled_labels,
)
from hubel.tools.representation.probe import direction, fitted, probe, probe_places


def gaussian(n: int = 400, width: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def test_the_sign_of_a_direction_is_read_and_the_direction_found() -> None:
    x = gaussian(2000, 16) * np.linspace(0.2, 30, 16, dtype=np.float32)  # as massive dimensions
    w = np.random.default_rng(1).normal(size=16) / np.linspace(0.2, 30, 16)
    y = (x @ w > 0).astype(int)
    result = probe(x, y, np.arange(len(x)))
    assert result.accuracy > 0.97
    assert abs(float(result.control.mean()) - 0.5) < 0.05
    found = direction(fitted(x, y, inverse_penalty=1e3))[0]
    assert found @ w / np.linalg.norm(found) / np.linalg.norm(w) > 0.99


def test_exclusive_or_needs_a_perceptron() -> None:
    x = gaussian(700, 3)
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(int)
    group = np.arange(len(x))
    linear = probe(x, y, group, n_controls=1)
    bent = probe(x, y, group, kind="mlp", n_folds=2, n_controls=1)
    assert abs(linear.accuracy - 0.5) < 0.06
    assert bent.accuracy > 0.93
    assert float(bent.control.mean()) < 0.6


def test_random_labels_of_groups_are_read_by_a_random_split_and_not_by_the_split_by_group() -> None:
    group = np.repeat(np.arange(40), 10)
    x = gaussian(40, 60)[group] + 0.1 * gaussian(400, 60, seed=1)
    y = np.random.default_rng(2).permutation(np.arange(40) % 2)[group]
    assert probe(x, y, np.arange(400), n_controls=1).accuracy > 0.95
    assert probe(x, y, group, n_controls=1).accuracy < 0.75


def test_all_places_together_equal_a_plain_loop() -> None:
    group = np.repeat(np.arange(30), 8)
    y = np.random.default_rng(0).integers(0, 3, 30)[group]
    places = np.stack([gaussian(240, 8, seed=s) + s * 0.5 * y[:, None] for s in range(3)])
    control = control_labels(y, group, np.random.default_rng(5))
    train, test = np.flatnonzero(group < 18), np.flatnonzero(group >= 18)
    results = probe_places(places, y, control, train)
    for x, result in zip(places, results, strict=True):
        for labels, seen in ((y, result.correct), (control, result.control)):
            scaler = StandardScaler().fit(x[train])
            model = LogisticRegression(max_iter=2000).fit(scaler.transform(x[train]), labels[train])
            right = model.predict(scaler.transform(x[test])) == labels[test]
            assert np.mean(right != seen[test]) < 0.02
    accuracies = [float(result.correct[test].mean()) for result in results]
    assert accuracies == sorted(accuracies)


def test_the_probe_of_one_place_is_a_plain_loop_over_folds() -> None:
    group = np.repeat(np.arange(30), 4)
    y = np.random.default_rng(0).integers(0, 2, 30)[group]
    x = gaussian(120, 8) + 0.7 * y[:, None].astype(np.float32)
    result = probe(x, y, group, n_folds=3, n_controls=2, seed=5)
    random = np.random.default_rng(5)
    controls = [control_labels(y, group, random) for _ in range(2)]
    for lines, seen in (([y], result.correct), (controls, result.control)):
        right = np.zeros((len(lines), len(y)))
        for k, labels in enumerate(lines):
            for train, test in StratifiedGroupKFold(3, shuffle=True, random_state=5).split(
                x, y, group
            ):
                scaler = StandardScaler().fit(x[train])
                model = LogisticRegression(max_iter=2000)
                model.fit(scaler.transform(x[train]), labels[train])
                right[k, test] = model.predict(scaler.transform(x[test])) == labels[test]
        assert np.abs(right.mean(axis=0) - seen).mean() < 0.02


def test_folds_split_no_group_and_control_labels_are_of_groups() -> None:
    group = np.repeat(np.arange(12), 5)
    y = (np.arange(12) % 2)[group]
    for train, test in group_folds(y, group, 4, 0):
        assert not set(group[train]) & set(group[test])
    control = control_labels(y, group, np.random.default_rng(0))
    assert all(len(set(control[group == g])) == 1 for g in range(12))
    assert control.sum() == y.sum()


def test_pairs_that_hold_both_labels_get_random_control_labels() -> None:
    group = np.repeat(np.arange(50), 2)
    control = control_labels(np.arange(100) % 2, group, np.random.default_rng(0))
    assert 0.2 < control.mean() < 0.8
    assert (control[::2] == control[1::2]).all()


def test_shuffled_labels_vary_within_the_groups_in_which_the_label_does() -> None:
    group = np.repeat(np.arange(30), 4)
    classes = np.where(
        group < 10, np.tile([0, 0, 0, 1], 30), (group % 2)
    )  # 10 mixed, 20 of one class
    draws = [shuffled_labels(classes, group, np.random.default_rng(seed)) for seed in range(50)]
    for drawn in draws:
        ones = drawn.reshape(30, 4).sum(axis=1)
        assert (ones[:10] == 1).all()
        assert sorted(ones[10:]) == [0] * 10 + [4] * 10
    assert np.mean(draws, axis=0) == pytest.approx(np.where(group < 10, 0.25, 0.5), abs=0.25)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0.5, 1.25, 2.0], "0.5 are measurements"),
        (["a", "a"], "all 2 labels are 'a'"),
        ([], "no label is given"),
        (list(range(60)), "60 different labels on 60 texts"),
    ],
)
def test_what_is_no_label_is_said(labels: list[object], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        label_classes(labels)


def test_whole_numbers_are_labels() -> None:
    assert label_classes([1.0, 0.0, 1]).names == ["0", "1"]


def test_a_class_in_too_few_groups_is_named() -> None:
    labels = LabelClasses(["no", "yes"], np.array([0, 0, 0, 1, 1]))
    with pytest.raises(
        ArgumentError, match="'yes' has texts of 1 groups; each label needs at least 2"
    ):
        require_spread(labels, np.array([0, 1, 2, 3, 3]), 2)
