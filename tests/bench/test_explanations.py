"""The bench of explanations: its list against least squares, its halves, and the same rows each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.agent.runlog.progress import Reporter
from hubel.bench.explanations.figures import LISTED, SHRINK, list_prediction
from hubel.bench.explanations.measure import ExplanationBench, UnitDraw
from hubel.bench.explanations.summary import summary
from hubel.tools.index import Index
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject

DRAW = UnitDraw((0, 2), neurons=3, heads=2, rotated=2, halves=1, seed=7)


@pytest.fixture(scope="module")
def bench(tiny: Subject, tiny_index: Path) -> ExplanationBench:
    bench = ExplanationBench(tiny, Index.open(tiny_index), DRAW, "ten-tokens", Reporter())
    list(bench.rows())
    return bench


def test_units_of_every_kind_are_explained_and_scored(bench: ExplanationBench) -> None:
    rows = list(bench.rows())
    kinds = [row.kind for row in rows]
    assert (kinds.count("neuron"), kinds.count("rotated"), kinds.count("head")) == (6, 4, 2)
    assert [row.target for row in rows if row.kind == "rotated"] == [
        f"mlp.{layer}.{24 + number}" for layer in (0, 2) for number in (0, 1)
    ]
    halved = [row for row in rows if row.half_r is not None]
    assert len(halved) == 5  # one of each layer and kind
    assert all(-1 <= (row.half_r or 0) <= 1 for row in halved)
    lines = summary(rows)
    assert [(line["kind"], line["layer"]) for line in lines if line["layer"] is None] == [
        ("neuron", None),
        ("rotated", None),
        ("head", None),
    ]
    (neurons,) = [line for line in lines if (line["kind"], line["layer"]) == ("neuron", None)]
    rs = [row.figures["r"] or 0 for row in rows if row.kind == "neuron"]
    assert neurons["r"] == pytest.approx(np.mean(rs), abs=1e-4)


def test_rows_are_the_same_each_time(
    bench: ExplanationBench, tiny: Subject, tiny_index: Path
) -> None:
    again = ExplanationBench(tiny, Index.open(tiny_index), DRAW, "ten-tokens", Reporter())
    assert list(again.rows()) == list(bench.rows())  # seconds too: formulas come from the cache


def test_halves_share_no_document(bench: ExplanationBench) -> None:
    unit = Unit.parse(next(bench.rows()).target)
    first, second = (bench._explore_data(unit, half) for half in (0, 1))
    assert not set(first.document.tolist()) & set(second.document.tolist())
    assert len(first.document) + len(second.document) == len(bench._explore_data(unit, None).mask)


def test_the_list_is_a_ridge_regression_on_its_tokens(bench: ExplanationBench) -> None:
    text, unit = bench._text, Unit.parse(next(bench.rows()).target)
    predicted = list_prediction(text, unit)
    tokens = text.explore.tokens[text.explore.mask]
    signal = text.explore.signal(unit)[text.explore.mask].astype(np.float64)
    weights = dict(zip(text.tokens.tolist(), predicted.tolist(), strict=True))
    listed = sorted({token for token, weight in weights.items() if weight})
    assert 0 < len(listed) <= LISTED
    columns = (tokens[:, None] == listed).astype(float)
    rest = signal[~columns.any(axis=1)].mean()
    gram = columns.T @ columns + SHRINK * np.eye(len(listed))
    expected = np.linalg.solve(gram, columns.T @ (signal - rest))
    assert [weights[token] for token in listed] == pytest.approx(expected)
