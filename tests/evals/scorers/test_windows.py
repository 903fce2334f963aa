"""Windows: how they are cut, chosen, dealt and marked; decisions and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hubel.evals.judge.protocol import Unscorable
from hubel.evals.scorers.classification import LabelledExamples, accuracy, auroc, balanced_accuracy
from hubel.evals.scorers.windows import (
    TokenText,
    by_quantile,
    choose_windows,
    cut_windows,
    mark_tokens,
    mirrored_batches,
    quiet_windows,
)
from hubel.evals.statistics.paired import Coverage, compare_means, sign_flip_p
from hubel.evals.statistics.sample import Sample
from tests.support.fruit import make_task


def windows_of(task):
    return cut_windows(task.sample, task.text)


def test_windows_cover_the_text_without_overlap():
    tokens = np.arange(3 * 70).reshape(3, 70) % 10
    length = np.array([70, 20, 9])
    mask = np.arange(70) < length[:, None]
    sample = Sample(np.zeros((3, 70)), np.zeros((3, 70)), mask, np.arange(3))
    windows = cut_windows(sample, TokenText(tokens, length, list("abcdefghij")))
    spans = list(
        zip(windows.context.tolist(), windows.start.tolist(), windows.stop.tolist(), strict=True)
    )
    assert spans == [(0, 0, 32), (0, 32, 64), (1, 0, 20)]
    assert "".join(windows.token_strings(2)) == "".join("abcdefghij"[t] for t in tokens[1, :20])


def test_active_windows_come_from_all_tenths_and_quiet_ones_are_weak():
    task = make_task(noise=0.1)
    windows = windows_of(task)
    chosen = choose_windows(windows, seed=1)
    strength = windows.true.strength
    assert chosen.label.sum() == 50 == (~chosen.label).sum()
    assert strength[chosen.window[chosen.label]].min() >= windows.true.threshold
    assert strength[chosen.window[~chosen.label]].max() <= np.median(strength[~windows.true.active])
    active = np.sort(strength[windows.true.active])
    tenth = np.searchsorted(
        np.quantile(active, np.linspace(0.1, 0.9, 9)), strength[chosen.window[chosen.label]]
    )
    assert np.bincount(tenth, minlength=10).min() >= 3


def test_a_dense_unit_has_quiet_windows_too():
    """A gated neuron is never zero; calling any activation active would leave no negative."""
    rng = np.random.default_rng(0)
    true = rng.standard_normal((200, 64))
    task = make_task()
    sample = Sample(true, true, np.ones((200, 64), bool), np.arange(200))
    windows = cut_windows(
        sample, TokenText(np.zeros((200, 64), int), np.full(200, 64), task.text.vocabulary)
    )
    assert 0.2 < windows.true.active.mean() <= 0.26
    assert len(quiet_windows(windows)) > 100


def test_too_little_active_text_is_said():
    task = make_task(contexts=3)
    with pytest.raises(Unscorable, match="needs 10"):
        choose_windows(windows_of(task), seed=0)


@given(st.integers(5, 60), st.integers(2, 50), st.integers(0, 5))
def test_batches_are_mirrored(half, per_batch, seed):
    pairs = 2 * half
    batches = mirrored_batches(pairs, max(2, per_batch // 2 * 2), np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(2 * pairs))
    for batch, mirror in zip(batches[::2], batches[1::2], strict=True):
        assert ((batch < pairs) != (mirror < pairs)).all()
        assert (batch < pairs).sum() * 2 == len(batch) <= max(2, per_batch)


def test_by_quantile_takes_what_there_is():
    task = make_task(contexts=20)
    windows = windows_of(task)
    active = by_quantile(windows, np.random.default_rng(0))
    assert active.tolist() == np.flatnonzero(windows.true.active).tolist()


def test_marks_stand_round_runs_of_tokens():
    tokens = ["The", " red", " cat", "\n", "<<", " sat"]
    marks = np.array([False, True, True, False, False, True])
    assert mark_tokens(tokens, marks) == "The <<red cat>>\\n< < <<sat>>"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=60))
def test_balanced_accuracy_agrees_with_scikit_learn(pairs):
    label, yes = (np.array(part) for part in zip(*pairs, strict=True))
    interval = balanced_accuracy(yes, LabelledExamples(label, np.arange(len(label))))
    if label.any() and not label.all():
        assert interval.value == pytest.approx(balanced_accuracy_score(label, yes))
    assert 0 <= interval.value <= 1


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=4, max_size=60))
def test_auroc_agrees_with_scikit_learn(pairs):
    label, grade = (np.array(part) for part in zip(*pairs, strict=True))
    interval = auroc(grade, LabelledExamples(label, np.arange(len(label))))
    expected = roc_auc_score(label, grade) if label.any() and not label.all() else 0.5
    assert interval.value == pytest.approx(expected)
    if interval.low is not None and interval.high is not None:
        assert 0 <= interval.low <= interval.high <= 1


@pytest.mark.slow
def test_intervals_cover_what_they_should():
    """95 % intervals of a balanced accuracy of 0.8 hold 0.8 in about 95 of 100 samples."""
    rng = np.random.default_rng(0)
    label = np.arange(200) < 100
    hits = 0
    for _ in range(200):
        yes = np.where(rng.random(200) < 0.8, label, ~label)
        interval = balanced_accuracy(yes, LabelledExamples(label, np.arange(200)))
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 0.8 <= interval.high
    assert 180 <= hits <= 199


def test_accuracy_counts_shares_of_ties():
    assert accuracy(np.array([1.0, 0.5, 0.0]), np.arange(3)).value == 0.5


def test_units_of_two_scores_are_compared_in_pairs():
    a = {f"u{i}": 0.5 + 0.01 * i for i in range(20)}
    b = {unit: value - 0.1 for unit, value in a.items()}
    better = compare_means(a, b | {"only-b": 1.0})
    assert better.pairs == 20
    assert better.difference.value == pytest.approx(0.1)
    assert better.p == pytest.approx(1e-4, rel=0.1)
    assert compare_means(a, a).p == 1.0
    assert compare_means({}, a).p == 1.0


def test_sign_flips_are_exact_for_few_units():
    assert sign_flip_p(np.array([1.0, 1.0, 1.0, 1.0])) == 2 / 16
    assert sign_flip_p(np.array([1.0, -1.0])) == 1.0


def test_sign_flip_p_is_uniform_under_the_null():
    rng = np.random.default_rng(1)
    p = np.array([sign_flip_p(rng.standard_normal(30), seed) for seed in range(100)])
    assert 0 <= (p < 0.05).mean() <= 0.12
    assert 0.4 < p.mean() < 0.6


def test_coverage_reads_as_a_sentence():
    assert str(Coverage(20, 17, 2, 1)) == "17 of 20 targets, 2 failed, 1 cannot be scored"
