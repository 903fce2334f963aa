"""Lists of words grow from seeds with a signal only."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.dissection import CandidateMatrix
from hubel.tools.dissection.candidates import FOLDS
from hubel.tools.dissection.word_lists import grow_word_lists


@pytest.fixture
def pair(candidates: CandidateMatrix) -> list[int]:
    """A word and one of its neighbours, both in the text."""
    near = next(n for n in map(candidates.nearest_words, range(99)) if len(n) > 2)
    return near[:2].tolist()


def test_no_list_grows_without_a_signal(candidates: CandidateMatrix) -> None:
    nothing = np.zeros((len(candidates.words), FOLDS))
    assert grow_word_lists(candidates, candidates.channels[0], nothing, max_words=5) == []


def test_words_without_a_signal_neither_grow_a_list_nor_join_one(
    candidates: CandidateMatrix, pair: list[int]
) -> None:
    sums = np.zeros((len(candidates.words), FOLDS))
    sums[pair] = 100.0
    lists = grow_word_lists(candidates, candidates.channels[0], sums, max_words=5)
    assert {frozenset(grown.words) for grown in lists} == {frozenset(pair)}
