"""One language, one text and one library for all tests of the search."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.dissection import CandidateMatrix, Lexicon, TextView, build_candidates
from tests.support import world


@pytest.fixture(scope="session")
def language() -> Lexicon:
    return world.lexicon()


@pytest.fixture(scope="session")
def sample(language: Lexicon) -> TextView:
    return world.text(language)


@pytest.fixture(scope="session")
def candidates(sample: TextView) -> CandidateMatrix:
    document = world.documents(len(sample.tokens))
    return build_candidates(
        sample.tokens, sample.length, document, np.ones(sample.tokens.shape, bool), sample.lexicon
    )
