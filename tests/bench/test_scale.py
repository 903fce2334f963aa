"""The cost model: recovers what costs are made of, and is checked on what it was not fitted on."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.agent.llm.conversation import TokenUsage
from hubel.agent.llm.prices import price_from, shipped_prices
from hubel.agent.runlog.progress import Reporter
from hubel.bench.actions.scale import report
from hubel.bench.scale.bytes_on_disk import check_shard
from hubel.bench.scale.conversation import AT_MOST, ROLES, count_tokens, target_prices
from hubel.bench.scale.cost_model import (
    LeftOut,
    MeasuredCost,
    fit,
    index_terms,
    leave_one_out,
    target_terms,
)
from hubel.bench.scale.detectors import DETECTORS, detector_addresses, token_values
from hubel.bench.scale.measure import measure_sizes
from hubel.bench.scale.projection import (
    ASSUMED,
    CHOICE_S,
    MEASURED,
    MEASURED_S,
    SEARCHED_TOKENS,
    SUBJECTS,
    Prices,
    TargetCost,
    project,
    target_cost,
)
from hubel.bench.scale.random_subject import write_subject
from hubel.bench.scale.sizes import SIZES, SubjectSize
from hubel.bench.tiny_subject import word_tokenizer
from hubel.tools.corpus import read_corpus
from hubel.tools.subject import load_subject
from hubel.tools.subject.address import Site, Unit


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


SEARCH = TargetCost(2.0, 100.0, "test")


def test_hours_are_the_work_over_the_speed() -> None:
    index = fit(costs(2e-11, 4e-10))
    one, many = (project("8B", n, 1_000_000, index, SEARCH) for n in (1, 64))
    size = SUBJECTS["8B"]
    chosen = size.units * (1e6 * CHOICE_S + 1e-5)
    assert one.statistics * 3600 == pytest.approx(chosen / ASSUMED.cores)
    assert one.transfer * 3600 == pytest.approx(1e6 / 64 * size.units * 2 * 4 / ASSUMED.link)
    assert one.forward * 3600 == pytest.approx(1e6 * 2 * size.weights / ASSUMED.flops)
    assert one.targets * 3600 == pytest.approx(32 * 14336 * 2.0 / ASSUMED.cores)
    # 458,752 neurons are collected in 224 parts, and each reads 100 tokens in its experiments
    read = 224 * SEARCHED_TOKENS + 458_752 * 100
    assert one.passes * 3600 == pytest.approx(read * 2 * size.weights / ASSUMED.flops)
    assert many.forward == pytest.approx(one.forward / 64)
    assert many.driver == one.driver


def test_machines_are_paid_for_as_long_as_they_are_held() -> None:
    few, many = (project("8B", n, 1_000_000, fit(costs(2e-11, 4e-10)), SEARCH) for n in (2, 64))
    assert few.usd(Prices()) == 0
    hours = few.index_hours + few.targets
    assert few.usd(Prices(3.0)) == pytest.approx(2 * 3.0 * hours)
    assert few.usd(Prices(3.0, 0.05)) == pytest.approx(2 * (3.0 + 16 * 0.05) * hours)
    # with many, they wait for the driver
    assert many.usd(Prices(3.0)) == pytest.approx(64 * 3.0 * (many.index_hours + many.driver))


def test_only_passes_are_projected_and_nothing_of_a_model_that_failed_a_check() -> None:
    operation, own, token, experiments = 2e-11, 0.1, 1e-5, 150.0
    points = [
        MeasuredCost("", terms, own + token * terms[1] + 2 * experiments * operation * terms[2])
        for terms in (target_terms(n, size.weights) for size in SIZES for n in (900, 3700))
    ]
    target, index = fit(points), fit(costs(operation, 4e-10))
    assert max(abs(each.error) for each in leave_one_out(points)) < 1e-9
    of_target = target_cost(target, index, [LeftOut("", 1.0, 1.19)])
    assert of_target.experiment_tokens == pytest.approx(experiments)
    passes = experiments * 2 * operation * SIZES[2].weights
    assert of_target.search_s == pytest.approx(MEASURED_S - passes)
    assert target_cost(target, index, [LeftOut("", 1.0, 1.0), LeftOut("", 1.0, 0.79)]) is MEASURED


def test_dollars_of_a_target_are_its_tokens_times_the_price() -> None:
    tokens = {role: TokenUsage(1000, 100, 600, 200) for role in ROLES}
    prices = {price.model: price for price in target_prices(tokens)}
    assert set(prices) == set(shipped_prices())
    for model, known in shipped_prices().items():
        paid = price_from(known.price)
        assert paid is not None
        dollars = 200 * paid.input + 600 * paid.cache_read + 200 * paid.cache_write
        dollars = (dollars + 100 * paid.output) / 1e6
        assert prices[model].explainer == pytest.approx(dollars)
        assert prices[model].readers == pytest.approx(2 * dollars)
        assert prices[model].in_batches == pytest.approx(dollars)


WORDS = "the a in on , said 1 two who was he jumped"


@pytest.mark.parametrize("size", [SubjectSize(2, 32, 48, 4, 2), SubjectSize(7, 64, 80, 8, 4)])
def test_detectors_fire_as_their_words_say_in_a_subject_of_any_size(
    size: SubjectSize, tmp_path: Path
) -> None:
    subject = load_subject(str(write_subject(size, word_tokenizer(WORDS), tmp_path)))
    values = token_values(subject.token_strings())
    ids = subject.tokenizer(" the man jumped on two , who was he")["input_ids"]
    units = [Unit.parse(address) for address in detector_addresses(size)]
    measured = subject.unit_activations(torch.tensor([ids]), units)[:, 0].numpy()
    truth = values[:, ids]
    fires = truth > 0.8
    assert 0 < fires.mean() < 0.5
    assert np.allclose(measured[fires], truth[fires], rtol=0.1)
    assert np.abs(measured[~fires]).max() < 0.3
    assert {unit.layer for unit in units} == set(range(size.layers))
    assert len(set(units)) == DETECTORS


@pytest.mark.parametrize("size", [SubjectSize(2, 32, 48, 4, 2), SubjectSize(3, 64, 100, 8, 4)])
def test_bytes_of_a_store_and_of_sums_are_those_of_the_files(
    size: SubjectSize, tmp_path: Path
) -> None:
    subject = load_subject(str(write_subject(size, word_tokenizer(WORDS), tmp_path)))
    corpus = read_corpus("lee-news", limit_documents=30)
    kinds = check_shard(size, subject, corpus, 16_384, tmp_path / "shard")
    assert [of_kind.what for of_kind in kinds] == ["store", "sums"]
    for of_kind in kinds:
        assert of_kind.predicted == of_kind.measured > 0


@pytest.mark.slow
def test_a_size_is_measured_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, size = read_corpus("lee-news", limit_documents=30), SubjectSize(1, 32, 48, 4, 2)
    plan = [(size, 16_384)]
    (cost,) = measure_sizes(plan, word_tokenizer(WORDS), corpus, tmp_path, Reporter(), shards=0)
    assert cost.index_cost.terms == index_terms(size.weights, size.units, cost.tokens)
    assert cost.index_cost.seconds > 0
    assert cost.target_cost.terms == target_terms(cost.targets.distinct_tokens, size.weights)
    assert 20 < cost.targets.distinct_tokens < 300  # bytes and a dozen words
    assert len(cost.targets.each) == DETECTORS - 1
    assert min(cost.targets.each) > 0
    (collected,) = cost.files
    assert abs(collected.error) < 0.05
    usage = count_tokens(tmp_path / "conversations", cost, 2)
    assert list(usage) == ["explainer"]  # on so little text the program explains no target
    assert usage["explainer"].input > usage["explainer"].cache_read > 0
    assert 0 < usage["explainer"].output < AT_MOST["explainer"].output
    costs = [cost._replace(size=size._replace(layers=n)) for n in (1, 2, 3)]
    report(costs, usage, 1000, Prices(3.0), as_json=False)
    printed = capsys.readouterr().out
    assert "not measured" in printed
    assert "$3 for an accelerator" in printed
    assert "70B" in printed
    report(costs, usage, 1000, Prices(), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["part"] for row in rows} == {"left out", "fit", "tokens", "price", "projected"}
    assert [row["usd"] for row in rows if row["part"] == "projected"] == [None] * 9
