"""`scoring_task` on collected activations written by hand: each array goes where it belongs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hubel.evals.floors import ExploreSignal, fit_floor_predictions
from hubel.evals.judge.protocol import Unscorable
from hubel.evals.scorers.task import scoring_task
from hubel.tools.index.collected import Collected
from hubel.tools.subject.address import Unit

WORDS = [" apple", " pear", " fig"]


def collected(folder: Path, seed: int) -> Collected:
    rng = np.random.default_rng(seed)
    arrays = {
        "activations": rng.standard_normal((1, 4, 5)).astype(np.float16),
        "tokens": rng.integers(0, len(WORDS), (4, 5)).astype(np.int32),
        "length": np.array([5, 4, 5, 3], dtype=np.int32),
        "document": np.array([0, 0, 1, 2], dtype=np.int32),
    }
    path = folder / f"{seed}.safetensors"
    save_file(arrays, path, metadata={"collected": json.dumps({"targets": ["mlp.0.1"]})})
    return Collected(path)


@pytest.mark.parametrize("address", ["mlp.0.1", "mlp.0.1+", "mlp.0.1-"])
def test_the_truth_is_the_side_of_the_target(tmp_path: Path, address: str) -> None:
    unit = Unit.parse(address)
    explore, select = collected(tmp_path, 0), collected(tmp_path, 1)
    predicted = np.arange(20.0).reshape(4, 5)
    task = scoring_task(unit, "select", select, explore, predicted, seed=3)

    signal = unit.signal(select.activations(unit))
    np.testing.assert_array_equal(task.sample.true, np.where(select.mask, signal, 0))
    np.testing.assert_array_equal(task.sample.predicted, np.where(select.mask, predicted, 0))
    np.testing.assert_array_equal(task.sample.document, select.document)
    assert (task.split, task.seed, task.predicts) == ("select", 3, True)


def test_floor_predictions_are_fitted_on_explore_and_made_for_the_split(tmp_path: Path) -> None:
    unit = Unit.parse("mlp.0.1-")
    explore, select = collected(tmp_path, 0), collected(tmp_path, 1)
    other = np.ones((4, 5))
    rivals = scoring_task(unit, "select", select, explore, None, other=other).floor_predictions

    signal = ExploreSignal(explore.tokens, unit.signal(explore.activations(unit)), explore.mask)
    expected = fit_floor_predictions(signal, select.tokens)
    np.testing.assert_array_equal(rivals.token_lookup, expected.token_lookup)
    np.testing.assert_array_equal(rivals.trivial["position"], expected.trivial["position"])
    np.testing.assert_array_equal(rivals.other, other)


def test_an_explanation_in_words_only_predicts_nothing(tmp_path: Path) -> None:
    explore, select = collected(tmp_path, 0), collected(tmp_path, 1)
    task = scoring_task(
        Unit.parse("mlp.0.1"),
        "select",
        select,
        explore,
        None,
        explanation="fruit",
        vocabulary=WORDS,
    )
    assert not task.predicts
    assert task.explanation == "fruit"
    assert task.text.tokens_of(1, 0, 2) == [WORDS[t] for t in select.tokens[1, :2]]


def test_without_a_vocabulary_there_is_no_text_to_show(tmp_path: Path) -> None:
    explore, select = collected(tmp_path, 0), collected(tmp_path, 1)
    task = scoring_task(Unit.parse("mlp.0.1"), "select", select, explore, None)
    with pytest.raises(Unscorable, match="the text of the contexts"):
        _ = task.text
