"""A frozen lexicon predicts what the whole one does, also after it was written and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.tools.dissection import Lexicon, Predicate
from hubel.tools.dissection.frozen_lexicon import freeze
from hubel.tools.errors import UsageError

WORDS = [f" {a}{b}" for a in "bcdfgklmnp" for b in ("at", "og", "im", "un", "el", "ar", "ip", "ov")]
PRINTED = [
    'strongly near(12, "bat", "dog") - slightly after(near(40, "cun"))',
    'moderately words("bat")',
]


@pytest.fixture
def lexicon() -> Lexicon:
    return Lexicon.build(WORDS, np.random.default_rng(0).standard_normal((len(WORDS), 16)))


def test_predictions_are_the_same_bit_for_bit(lexicon: Lexicon, tmp_path: Path) -> None:
    tokens = np.random.default_rng(1).integers(0, len(WORDS), (30, 20))
    freeze(lexicon, PRINTED).save(tmp_path)
    small = Lexicon.load(tmp_path)
    assert small.vectors is None
    for printed in PRINTED:
        predicate = Predicate.parse(printed)
        whole = predicate.predict(tokens, lexicon)
        assert len(np.unique(whole)) > 1
        np.testing.assert_array_equal(predicate.predict(tokens, small), whole)


def test_a_neighbourhood_that_was_not_kept_is_refused_and_not_taken_for_empty(
    lexicon: Lexicon,
) -> None:
    small = freeze(lexicon, PRINTED[1:])
    with pytest.raises(UsageError):
        Predicate.parse(PRINTED[0]).predict(np.zeros((1, 3), dtype=int), small)
