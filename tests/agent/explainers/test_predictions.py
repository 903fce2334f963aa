"""Predictions are held against outcomes by arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hubel.agent.explainers.predictions import (
    PredictionOutcome,
    Reading,
    Thresholds,
    adjudicate,
    tally,
)
from hubel.agent.explainers.protocol import Experiment, Passage

TEXT = "the cat sat"
OFFSETS = [(0, 3), (3, 7), (7, 11)]
ACTIVATIONS = [9.0, 2.0, -1.0]
THRESHOLDS = Thresholds(q50=0.0, q90=1.5)


def outcome(activations: list[float] = ACTIVATIONS, **fields: Any) -> PredictionOutcome:
    defaults: dict[str, Any] = {"passage": Passage(TEXT), "relation": "fires"}
    experiment = Experiment("e1", "h1", **(defaults | fields))
    readings = [Reading(OFFSETS, activations)] * (2 if experiment.other else 1)
    return adjudicate(experiment, readings, THRESHOLDS)


def test_position_0_is_left_out() -> None:
    assert outcome() == {"observed": 2.0, "compared": 1.5, "outcome": "for"}


@pytest.mark.parametrize(
    ("fields", "observed", "verdict"),
    [
        ({"relation": "fires", "passage": Passage(TEXT, (8, 11))}, -1.0, "against"),
        ({"relation": "silent", "passage": Passage(TEXT, (8, 11))}, -1.0, "for"),
        ({"relation": "silent"}, 2.0, "against"),
        ({"relation": "fires", "side": "-"}, 1.0, "against"),
        ({"relation": "within", "bounds": (1.9, 2.0)}, 2.0, "for"),
        ({"relation": "within", "bounds": (2.1, 3.0)}, 2.0, "against"),
        (
            {
                "relation": "greater",
                "passage": Passage(TEXT, (4, 7)),
                "other": Passage(TEXT, (8, 11)),
            },
            2.0,
            "for",
        ),
        (
            {
                "relation": "greater",
                "passage": Passage(TEXT, (8, 11)),
                "other": Passage(TEXT, (4, 7)),
            },
            -1.0,
            "against",
        ),
        ({"quantity": "mean", "relation": "silent"}, 0.5, "against"),
        ({"relation": "raises"}, 2.0, "for"),
        ({"relation": "lowers"}, 2.0, "against"),
        ({"relation": "lowers", "passage": Passage(TEXT, (8, 11))}, -1.0, "for"),
    ],
)
def test_each_relation_by_hand(fields: dict, observed: float, verdict: str) -> None:
    compared = outcome(**fields)
    assert (compared["observed"], compared["outcome"]) == (observed, verdict)


@pytest.mark.parametrize(
    ("relation", "value", "verdict"),
    [
        ("fires", 0.0, "against"),
        ("fires", 0.2, "for"),
        ("silent", 0.0, "for"),
        ("silent", 0.2, "against"),
    ],
)
def test_a_latent_that_is_0_at_most_tokens_fires_above_0(
    relation: Any, value: float, verdict: str
) -> None:
    activations = np.zeros(1000)
    activations[:20] = 3.0
    thresholds = Thresholds.of(activations, "+")
    experiment = Experiment("e1", "h1", passage=Passage(TEXT), relation=relation)
    reading = Reading(OFFSETS, [9.0, value, 0.0])
    assert adjudicate(experiment, [reading], thresholds)["outcome"] == verdict


@pytest.mark.parametrize(
    "fields",
    [
        {"passage": Passage(TEXT, (0, 2))},
        {"relation": "greater", "other": Passage(TEXT, (0, 1))},
        {"relation": "greater"},
    ],
)
def test_what_cannot_be_read_speaks_neither_for_nor_against(fields: dict) -> None:
    assert outcome(**fields)["outcome"] == "void"


def test_thresholds_of_the_negative_side_are_those_of_the_negation() -> None:
    values = np.linspace(-3, 1, 401)
    assert Thresholds.of(values, "-") == Thresholds.of(-values, "+")
    assert Thresholds.of(values, "+").q90 == pytest.approx(0.6)


def test_tally_counts_only_this_hypothesis_and_no_void() -> None:
    rows = [
        {"hypothesis": h, "outcome": o}
        for h, o in [("h1", "for"), ("h1", "void"), ("h2", "for"), ("h1", "against")]
    ]
    assert tally(rows, "h1") == (1, 1)
