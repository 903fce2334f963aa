"""The texts about lies are balanced, and areas within blocks equal scikit-learn's."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hubel.bench.studies.checks.deception import noise, planted_flags
from hubel.studies.audits.deception import by_block, deception
from hubel.studies.audits.lie_texts import lie_texts
from hubel.studies.study_context import StudyContext
from hubel.tools.errors import UsageError
from hubel.tools.subject import Subject


@pytest.mark.parametrize("innocent", [False, True])
def test_honest_and_deceptive_texts_have_the_same_words_and_lengths(innocent: bool) -> None:
    texts = lie_texts(innocent)
    assert Counter(row.differs for row in texts) == {True: 144, False: 144}
    words: dict[tuple[int, bool], Counter[str]] = defaultdict(Counter)
    for row in texts:
        words[row.block, row.differs].update(row.text.split())
    for block, _ in list(words):
        assert words[block, True] == words[block, False]


def test_the_area_of_blocks_is_the_mean_of_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores, block = rng.normal(size=80), np.repeat(np.arange(20), 4)
    differs = np.tile([True, False, True, False], 20)
    expected = [roc_auc_score(differs[block == n], scores[block == n]) for n in range(20)]
    assert by_block(scores, differs, block) == pytest.approx(expected)
    assert by_block(np.zeros(80), differs, block) == pytest.approx(0.5)


def test_planted_flags_are_told_apart_and_noise_is_not() -> None:
    assert planted_flags(0)
    assert sum(c.verdict == "supported" for seed in range(5) for c in noise(seed).claims) == 0


def test_it_runs_on_a_subject_and_refuses_a_layer_that_is_not_there(tiny: Subject) -> None:
    result = deception(StudyContext([tiny]))
    assert len(result.rows) == 3
    assert result.rows[0]["word_counts_auc"] == pytest.approx(0.5)
    with pytest.raises(UsageError, match="layers 0 to 2"):
        deception(StudyContext([tiny]), layer=7)
