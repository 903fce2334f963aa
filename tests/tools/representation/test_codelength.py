"""The online code against a naive loop, and against what no code can do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hubel.tools.representation.codelength import SHARES, codelength


def test_bits_are_those_of_a_naive_sender() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 5))
    y = (x[:, 0] + 0.5 * random.normal(size=200) > 0).astype(int)
    result = codelength(x, y, np.arange(200), seed=3, inverse_penalties=(1.0,))
    place = np.random.default_rng(3).permutation(200)
    order = np.argsort(place)
    ends = sorted({int(np.ceil(share * 200)) for share in SHARES} | {200})
    total = float(ends[0])
    for start, end in pairwise(ends):
        seen, sent = order[:start], order[start:end]
        if len(set(y[seen])) < 2:
            total += len(sent)
            continue
        scaler = StandardScaler().fit(x[seen])
        model = LogisticRegression(max_iter=2000).fit(scaler.transform(x[seen]), y[seen])
        p = model.predict_proba(scaler.transform(x[sent]))[np.arange(len(sent)), y[sent]]
        total -= np.log2(p).sum()
    assert abs(result.total - total) < 0.5  # the least probability
    assert result.compression > 1.3  # of random labels 1


def test_random_labels_take_a_bit_each() -> None:
    """Less than N - k bits would be a luck of 2^-k."""
    for seed in range(10):
        random = np.random.default_rng(seed)
        x, y = random.normal(size=(300, 20)), random.integers(0, 2, 300)
        assert codelength(x, y, np.arange(300), seed=seed).total > 300 - 7


def test_a_class_that_was_never_seen_can_be_sent() -> None:
    y = np.array([0] * 40 + [1] * 40 + [2])
    x = np.random.default_rng(0).normal(size=(81, 3))
    result = codelength(x, y, np.arange(81))
    assert np.isfinite(result.bits).all()
    assert result.uniform == 81 * np.log2(3)


def test_a_group_is_sent_together() -> None:
    """Random labels of groups cost a bit each, though a probe that saw one of a group would know."""
    random = np.random.default_rng(1)
    group = np.repeat(np.arange(60), 5)
    x = random.normal(size=(60, 30))[group]
    y = random.integers(0, 2, 60)[group]
    assert codelength(x, y, group).total > 280
    assert codelength(x, y, np.arange(300)).total < 265
