"""The cost model: recovers what costs are made of, and is checked on what it was not fitted on."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from hubel.agent.runlog.progress import Reporter
from hubel.bench.actions.scale import report
from hubel.bench.scale.cost_model import MeasuredCost, fit, index_terms, leave_one_out
from hubel.bench.scale.measure import measure_sizes
from hubel.bench.scale.projection import ASSUMED, SUBJECTS, project
from hubel.bench.scale.sizes import SIZES, SubjectSize, write_subject
from hubel.bench.tiny_subject import word_tokenizer
from hubel.tools.corpus import read_corpus
from hubel.tools.subject import load_subject
from hubel.tools.subject.address import Site


def costs(a: float, b: float) -> list[MeasuredCost]:
    points: list[MeasuredCost] = []
    for size, tokens in product(SIZES, (2048, 8192)):
        terms = index_terms(size.weights, size.units, tokens)
        points.append(MeasuredCost(size.name, terms, a * terms[0] + b * terms[1] + 1e-5 * terms[2]))
    return points


def test_known_costs_are_recovered_and_predicted() -> None:
    points = costs(2e-11, 4e-10)
    assert fit(points).coefficients == pytest.approx([2e-11, 4e-10, 1e-5])
    assert max(abs(each.error) for each in leave_one_out(points)) < 1e-9


def test_a_size_that_costs_twice_as_much_is_noticed_where_it_is_left_out() -> None:
    points = costs(2e-11, 4e-10)
    points[2] = points[2]._replace(seconds=2 * points[2].seconds)
    assert leave_one_out(points)[2].error == pytest.approx(-0.5)


def test_a_cost_is_never_negative() -> None:
    falling = [MeasuredCost(str(n), (1.0, float(n)), 10.0 - n) for n in (1, 2, 3)]
    assert min(fit(falling).coefficients) >= 0


def test_weights_and_units_are_those_of_the_subject(tmp_path: Path) -> None:
    size = SubjectSize(2, 32, 48, 4, 2)
    subject = load_subject(str(write_subject(size, word_tokenizer(), tmp_path)))
    layers = [p for name, p in subject.model.named_parameters() if ".layers." in name]
    assert size.weights == sum(p.numel() for p in layers if p.ndim == 2)
    counted = [subject.shape.count(Site(kind, 0)) for kind in ("mlp", "head")]
    assert size.units == 2 * sum(counted)


def test_hours_are_the_work_over_the_speed() -> None:
    index, target = fit(costs(2e-11, 4e-10)), fit([MeasuredCost("1", (1.0, 0.0, 0.0), 2.0)])
    one, many = (project("8B", n, 1_000_000, index, target) for n in (1, 64))
    size = SUBJECTS["8B"]
    assert one.statistics * 3600 == pytest.approx(size.units * (1e6 * 4e-10 + 1e-5) / ASSUMED.cores)
    assert one.forward * 3600 == pytest.approx(1e6 * 2 * size.weights / ASSUMED.flops)
    assert many.forward == pytest.approx(one.forward / 64)
    assert many.driver == one.driver


@pytest.mark.slow
def test_a_size_is_measured_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, size = read_corpus("lee-news", limit_documents=30), SubjectSize(1, 32, 48, 4, 2)
    plan = [(size, 16_384)]
    (cost,) = measure_sizes(plan, word_tokenizer(), corpus, 1, tmp_path, Reporter())
    assert cost.index_cost.terms == index_terms(size.weights, size.units, cost.tokens)
    assert cost.index_cost.seconds > 0
    assert cost.target_cost.terms[1] == cost.tokens
    costs = [cost._replace(size=size._replace(layers=n)) for n in (1, 2, 3)]
    report(costs, 1000, as_json=False)
    printed = capsys.readouterr().out
    assert "not measured" in printed
    assert "70B" in printed
