from __future__ import annotations

import json

import pytest

from hubel.evals.score import Floors, Score
from hubel.tools.errors import CorruptError, UsageError


def test_json_is_the_contracts():
    score = Score(
        "simulation", "holdout", "random", 0.41, 0.33, 0.49, Floors(chance=0.0, trivial=0.1)
    )
    assert score.to_json() == {
        "scorer": "simulation",
        "split": "holdout",
        "text": "random",
        "value": 0.41,
        "low": 0.33,
        "high": 0.49,
        "floors": {
            "chance": 0.0,
            "shuffled": None,
            "other": None,
            "token_lookup": None,
            "trivial": 0.1,
            "list": None,
            "rotated": None,
        },
    }
    assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score


def test_a_score_without_interval_comes_back_without():
    score = Score("simulation", "select", "top_and_random", 0.0)
    assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score


@pytest.mark.parametrize(
    "broken", [{"value": None}, {"value": "0.4"}, {"value": True}, {"scorer": None}]
)
def test_a_damaged_row_is_an_error(broken: dict[str, object]):
    row = Score("simulation", "holdout", "random", 0.41).to_json() | broken
    with pytest.raises(CorruptError, match="hubel eval"):
        Score.from_json(row)


def test_nan_is_no_score():
    with pytest.raises(UsageError, match="finite"):
        Score("simulation", "holdout", "random", float("nan"))
