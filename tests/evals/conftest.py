"""Small seeded samples with documents of unequal size and contexts of unequal length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from hubel.evals.statistics.sample import Sample

# No deadline: machines are shared. The same examples every time: a red test means that the code
# changed.
settings.register_profile("hubel", deadline=None, derandomize=True, database=None)
settings.load_profile("hubel")

MakeSample = Callable[..., Sample]


@pytest.fixture
def make_sample() -> MakeSample:
    def make(
        seed: int = 0, contexts: int = 40, seq: int = 16, weight: float = 0.5, documents: int = 12
    ) -> Sample:
        rng = np.random.default_rng(seed)
        true = rng.standard_normal((contexts, seq))
        predicted = weight * true + rng.standard_normal((contexts, seq))
        length = np.where(rng.random(contexts) < 0.3, rng.integers(3, seq, contexts), seq)
        position = np.arange(seq)
        mask = (position[None] < length[:, None]) & (position > 0)
        return Sample(predicted, true, mask, np.sort(rng.integers(0, documents, contexts)))

    return make
