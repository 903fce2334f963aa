"""Scores of a formula's parts on select, against a naive loop over the same tokens."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.agent.explainers.protocol import TargetData
from hubel.agent.investigation.part_scores import part_scores
from hubel.tools.dissection import Lexicon

STRINGS = [" the", " dog", " running", " sing", " blue", " king", " fast", " lying"]
PRINTED = 'strongly suffix("ing") - moderately words("dog") + faintly kind("number")'


def data(seed: int, vocabulary: int) -> TargetData:
    random = np.random.default_rng(seed)
    tokens = random.integers(0, vocabulary, (40, 12))
    rule = np.array([0, -1, 2, 2, 0, 2, 0, 2])[tokens]
    signal = rule + 0.3 * random.standard_normal(tokens.shape)
    mask = np.ones(tokens.shape, dtype=bool)
    mask[:, 0] = False
    return TargetData(
        tokens,
        np.full(40, 12),
        np.arange(40),
        mask,
        signal.astype(np.float32),
        Lexicon.build(STRINGS),
        {},
    )


def test_the_parts_are_scored_apart() -> None:
    explore, select = data(0, 7), data(1, 8)  # " lying" is never in explore
    scores = part_scores(explore, select, PRINTED)
    tokens, true = select.tokens[select.mask], select.signal[select.mask]
    ing = np.array([s.endswith("ing") for s in STRINGS])[tokens]
    assert scores["meaning"] == pytest.approx(np.corrcoef(ing, true)[0, 1], abs=1e-3)
    assert scores["headline"] == scores["meaning"]
    strongest = np.argsort(-np.abs(true), kind="stable")[:50]
    assert scores["coverage"] == pytest.approx(np.mean([ing[i] and true[i] > 0 for i in strongest]))
    assert scores["unseen"] == 0.0, "the formula is the same at all of them"
    assert scores["list"] is not None
    assert 0.5 < scores["list"] < 1


def test_a_score_without_tokens_is_null() -> None:
    assert part_scores(data(0, 8), data(1, 8), PRINTED)["unseen"] is None
