"""What instruments say of an index, against a naive pass over its contexts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.errors import ArgumentError, UnavailableError
from hubel.tools.index import Index
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.activations_search import Search
from hubel.tools.instruments.exemplars import Exemplars, UnitStatistics
from hubel.tools.subject import Site, Unit
from tests.support.calls import CALLS

TEXT = "Monday the cat said in the river bank"


@pytest.fixture(scope="module")
def context(indexed: InstrumentContext) -> InstrumentContext:
    return indexed


def answer(context: InstrumentContext, name: str, **arguments: Any) -> Any:
    return call(name, arguments, context)


@pytest.mark.parametrize("unit", ["mlp.1.5", "head.2.1"])
def test_statistics_are_those_of_every_token(
    context: InstrumentContext, naive: dict, unit: str
) -> None:
    result = answer(context, "activations.statistics", unit=unit)
    assert isinstance(result, UnitStatistics)
    address = Unit.parse(unit)
    values = naive[address.place][..., address.index]
    values = values[~np.isnan(values)]
    assert result.n == len(values)
    expected = [values.mean(), values.std(), values.min(), values.max(), np.quantile(values, 0.5)]
    statistics = [result.mean, result.std, result.min, result.max, result.q50]
    np.testing.assert_allclose(statistics, expected, rtol=5e-3, atol=2e-3)
    assert result.positive == pytest.approx((values > 0).mean(), abs=1e-4)
    assert f"{result.n:,} tokens" in result.render()
    assert set(result.to_json()) >= {"unit", "mean", "std", "q50", "q90"}


@pytest.mark.parametrize(("side", "sign"), [("+", 1), ("-", -1)])
def test_top_exemplars_are_the_contexts_with_the_highest_peaks(
    context: InstrumentContext, naive: dict, side: str, sign: int
) -> None:
    result = answer(context, "activations.exemplars", unit="mlp.2.7", side=side, k=4)
    assert isinstance(result, Exemplars)
    values = sign * naive[Site("mlp", 2)][..., 7]
    order = np.argsort(-np.nanmax(values, axis=1), kind="stable")[:4]
    assert [passage.context for passage in result.exemplars] == order.tolist()
    strings = context.require_subject().token_strings()
    contexts = context.require_index().contexts("explore")
    for passage in result.exemplars:
        row = values[passage.context][1 : len(passage.tokens)]
        np.testing.assert_allclose(
            sign * np.array(passage.activations[1:]), row, rtol=2e-3, atol=2e-3
        )
        assert passage.peak == 1 + int(row.argmax())
        ids = contexts.tokens[passage.context][: int(contexts.length[passage.context])]
        assert passage.tokens == [strings[i] for i in ids]


def test_the_side_comes_from_the_address_when_it_has_one(context: InstrumentContext) -> None:
    exemplars = answer(context, "activations.exemplars", unit="mlp.2.7", side="-", k=3)
    assert answer(context, "activations.exemplars", unit="mlp.2.7-", k=3) == exemplars
    assert exemplars.unit == "mlp.2.7"
    with pytest.raises(ArgumentError, match="contradict"):
        answer(context, "activations.exemplars", unit="mlp.2.7-", side="+")


def test_exemplars_render_as_marked_text(context: InstrumentContext) -> None:
    result = answer(context, "activations.exemplars", unit="mlp.2.7", side="-", k=3)
    lines = result.render().splitlines()
    assert "negative side" in lines[0]
    peaks = [passage.activations[passage.peak] for passage in result.exemplars]
    assert [line.split(" | ")[0].strip() for line in lines[1:]] == [
        f"{peak:+.3g}" for peak in peaks
    ]
    assert "»9" in lines[1]
    assert (
        len(answer(context, "activations.exemplars", unit="mlp.2.7", kind="random", k=5).exemplars)
        == 5
    )
    assert (
        answer(context, "activations.exemplars", unit="head.0.1", side="-")
        .render()
        .endswith("it never fires there")
    )


@pytest.mark.parametrize("sites", [["mlp"], ["mlp", "head"]])
def test_search_ranks_every_unit_by_a_naive_z(
    context: InstrumentContext, naive: dict, sites: list[str]
) -> None:
    result = answer(context, "activations.search", text=TEXT, k=6, sites=sites)
    assert isinstance(result, Search)
    subject = context.require_subject()
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    scores: dict[str, tuple[float, float, int]] = {}
    for kind in sites:
        for layer in range(3):
            site = Site(kind, layer)  # pyright: ignore[reportArgumentType]
            values = subject.capture(ids, [site]).activations[site][0].numpy()[1:]
            for column in range(values.shape[1]):
                seen = naive[site][..., column]
                for sign, side in ((1, "+"), (-1, "-")) if kind == "mlp" else ((1, ""),):
                    best = (sign * values[:, column]).max()
                    z = (best - sign * np.nanmean(seen)) / np.nanstd(seen)
                    if best > 0:
                        at = 1 + int((sign * values[:, column]).argmax())
                        scores[f"{kind}.{layer}.{column}{side}"] = (z, sign * best, at)
    expected = sorted(scores, key=lambda unit: -scores[unit][0])[:6]
    assert [hit.unit for hit in result.hits] == expected
    for hit in result.hits:
        z, activation, position = scores[hit.unit]
        assert hit.z == pytest.approx(z, rel=5e-3)
        assert hit.activation == pytest.approx(activation, rel=1e-3)
        assert (hit.position, hit.token) == (position, result.tokens[position])
    assert result.n_units == 72 + (12 if "head" in sites else 0)
    assert len(result.render().splitlines()) == 7


def test_search_can_be_kept_to_layers_and_says_what_there_is(context: InstrumentContext) -> None:
    assert {
        hit.unit.split(".")[1]
        for hit in answer(context, "activations.search", text=TEXT, layers=[1]).hits
    } == {"1"}
    with pytest.raises(ArgumentError, match=r"mlp\.0"):
        answer(context, "activations.search", text=TEXT, layers=[9])


def test_mean_ablation_takes_the_mean_from_explore(context: InstrumentContext, naive: dict) -> None:
    result = answer(context, "ablate", unit="mlp.1.5", texts=[TEXT], op="mean")
    mean = np.nanmean(naive[Site("mlp", 1)][..., 5])
    assert result.replaced_by == f"its mean on explore ({mean:.4g})"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("activations.exemplars", {"unit": "mlp.1.99"}, "units 0 to 23"),
        ("activations.exemplars", {"unit": "mlp.1.5", "kind": "bottom"}, "kind: "),
        (
            "activations.exemplars",
            {"unit": "mlp.1.5", "split": "holdout"},
            "split: Extra inputs are not permitted",
        ),
        ("activations.statistics", {"unit": "mlp.5.1"}, "mlp of layers"),
        ("activations.search", {"text": ""}, "text: "),
        (
            "corpus.search",
            {"unit": "mlp.1.5", "pattern": "(?<=a)b", "regex": True},
            "no look-around",
        ),
        ("coactivating", {"unit": "mlp.1.5", "texts": ["the cat"]}, "too few"),
    ],
)
def test_invalid_exemplar_queries_are_argument_errors(
    context: InstrumentContext, name: str, arguments: dict, says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        call(name, arguments, context)


def test_looking_things_up_needs_no_subject(context: InstrumentContext) -> None:
    reading = InstrumentContext(index=context.index)
    assert call("activations.exemplars", {"unit": "mlp.1.5"}, reading).to_json()["exemplars"]
    with pytest.raises(UnavailableError, match="--subject"):
        call("activations.search", {"text": TEXT}, reading)


def test_no_instrument_opens_a_held_out_file(
    context: InstrumentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every instrument is called, and every file that is opened on the way is seen."""
    import pyarrow.parquet as pq

    opened: list[str] = []
    original = pq.ParquetFile
    monkeypatch.setattr(
        pq,
        "ParquetFile",
        lambda path, **options: opened.append(str(path)) or original(path, **options),
    )
    fresh = InstrumentContext(context.subject, Index.open(Path(context.require_index().path)))
    from hubel.tools.instruments import instruments

    assert set(CALLS) == set(instruments())
    for name, arguments in CALLS.items():
        call(name, arguments, fresh)
    assert opened
    assert not [path for path in opened if "holdout" in path]
