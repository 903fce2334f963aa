"""The bench of explanations: the figures of a run, halves, families left out, the same rows each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.engine import LocalEngine, SubjectChoice, Worker
from hubel.agent.explainers.compositional import Compositional
from hubel.agent.explainers.ten_tokens import TenTokens
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.progress import Reporter
from hubel.agent.runlog.views import target_rows
from hubel.bench.explanations.ablation import ablation_lines, families, without
from hubel.bench.explanations.measure import ExplanationBench
from hubel.bench.explanations.summary import summary, verdicts_by_target
from hubel.bench.explanations.unit_piece import measure_on_engine
from hubel.bench.explanations.units import DrawnUnits, UnitDraw
from hubel.tools.dissection.grammar import parse_concept
from hubel.tools.index import Index
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

DRAW = UnitDraw((0, 2), neurons=3, heads=2, rotated=2, halves=1, seed=7)


@pytest.fixture(scope="module")
def bench(tiny: Subject, tiny_index: Path) -> ExplanationBench:
    return make_bench(tiny, tiny_index)


def make_bench(tiny: Subject, index: Path) -> ExplanationBench:
    return ExplanationBench(DrawnUnits(tiny, Index.open(index), DRAW), Reporter())


def test_units_of_every_kind_are_explained_and_scored(bench: ExplanationBench) -> None:
    rows = list(bench.rows(TenTokens()))
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


def test_workers_measure_the_same_into_the_cache(
    tiny: Subject, tiny_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> list[dict[str, Any]]:
        measured = make_bench(tiny, tiny_index).rows(TenTokens())
        return [row.to_json() | {"seconds": 0.0} for row in measured]

    expected = rows()
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "other"))
    subject = SubjectChoice(tiny.name, tiny.revision)
    drawn = make_bench(tiny, tiny_index).drawn
    engine = LocalEngine(Worker(subject=tiny))
    measure_on_engine(engine, drawn, subject, "ten-tokens", Reporter())
    assert not list((tmp_path / "other").rglob("pieces/*"))
    made = len(list((tmp_path / "other").rglob("*.json")))
    assert rows() == expected
    assert len(list((tmp_path / "other").rglob("*.json"))) == made, "all was in the cache"


def test_rows_are_the_same_each_time(
    bench: ExplanationBench, tiny: Subject, tiny_index: Path
) -> None:
    again = make_bench(tiny, tiny_index)
    assert list(again.rows(TenTokens())) == list(
        bench.rows(TenTokens())
    )  # seconds too: formulas come from the cache


def test_halves_share_no_document(bench: ExplanationBench) -> None:
    unit = Unit.parse(next(bench.rows(TenTokens())).target)
    first, second = (bench._explore_data(unit, half) for half in (0, 1))
    assert not set(first.document.tolist()) & set(second.document.tolist())
    assert len(first.document) + len(second.document) == len(bench._explore_data(unit, None).mask)


def test_figures_are_those_of_a_run_of_the_same_units(
    bench: ExplanationBench, tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    rows = [row for row in bench.rows(TenTokens()) if row.kind != "rotated"]
    settings = {"index": str(tiny_index), "explainer": "ten-tokens", "seed": DRAW.seed}
    make_run(tmp_path / "run", resolve(run_config(targets=[r.target for r in rows], **settings)))
    execute_run(tmp_path / "run", subject=tiny)
    verdicts = verdicts_by_target(rows)
    for row, of_run in zip(rows, target_rows(tmp_path / "run"), strict=True):
        assert (row.predicate, row.sentence) == (of_run["predicate"], of_run["explanation"])
        verdict = verdicts[row.target]
        assert (verdict.verdict, verdict.tier) == (of_run["verdict"], of_run["tier"])
        values = {
            score["scorer"]: score["value"]
            for score in of_run["scores"]
            if (score["split"], score["text"]) == ("holdout", "random")
        }
        values["r"] = values.pop("simulation")
        assert values == {name: row.figures[name] for name in values}
        assert len(values) > 5


def test_a_family_is_left_out_with_its_parts_and_what_it_is_worth_is_the_difference(
    tiny: Subject, tiny_index: Path
) -> None:
    assert not without("suffix")(parse_concept('after(suffix("ed"))'))
    assert without("suffix")(parse_concept('after(prefix("re"))'))
    assert "after" in families("all")
    draw = UnitDraw((0,), neurons=2, heads=0, rotated=0, halves=0)
    bench = ExplanationBench(DrawnUnits(tiny, Index.open(tiny_index), draw), Reporter())
    rows = list(bench.rows(Compositional(draw.seed)))
    (line,) = ablation_lines(bench, rows, ["rank"])
    smaller = list(bench.rows(Compositional(draw.seed, without("rank")), "without rank"))
    assert not [row for row in smaller if "rank(" in (row.predicate or "")]
    assert line["targets"] == 2
    lost = [
        (a.figures["r"] or 0) - (b.figures["r"] or 0) for a, b in zip(rows, smaller, strict=True)
    ]
    assert line["r_lost"] == pytest.approx(np.mean(lost), abs=1e-4)
