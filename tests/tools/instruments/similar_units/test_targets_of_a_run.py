"""The units most like a run's targets, against the instrument for one unit and `numpy.corrcoef`."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.index import Collected, collect
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.similar_units import (
    coactive_targets,
    nearest_by_direction,
    similar_collected_units,
)
from hubel.tools.instruments.similar_units.by_direction import Nearest
from hubel.tools.instruments.similar_units.result import N_RECORDED
from hubel.tools.subject import Unit
from tests.support.tiny import N_LAYERS, N_NEURONS, tiny_subject


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_many_units_at_once_are_what_the_instrument_says_of_each(family: str) -> None:
    subject = tiny_subject(family)
    units = [Unit.parse(name) for name in ("mlp.0.3", "mlp.2.7-", "head.1.2", "mlp.2.7")]
    nearest = nearest_by_direction(subject, units)
    assert list(nearest) == ["head.1.2", "mlp.0.3", "mlp.2.7"]
    for name, similar in nearest.items():
        single = call("nearest", {"unit": name, "k": N_RECORDED}, InstrumentContext(subject))
        assert isinstance(single, Nearest)
        assert (similar.by, similar.compared) == (single.by, single.compared)
        assert [unit for unit, _ in similar.alike] == [n.unit for n in single.alike]
        assert [value for _, value in similar.alike] == pytest.approx(
            [n.cosine for n in single.alike], abs=1e-4
        )
        assert [unit for unit, _ in similar.opposite] == [n.unit for n in single.opposite]


@pytest.fixture(scope="module")
def explore(indexed: InstrumentContext, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    out = tmp_path_factory.mktemp("collected")
    units = [
        Unit("mlp", layer, index) for layer in range(N_LAYERS) for index in range(0, N_NEURONS, 4)
    ]
    collect(indexed.require_subject(), indexed.require_index(), units, out)
    return Collected.open(out, "explore")


def test_units_active_together_are_those_with_the_largest_correlation_of_their_signals(
    explore: Collected,
) -> None:
    targets = [Unit.parse(name) for name in [*explore.targets, f"{explore.targets[0]}-"]]
    together = coactive_targets(explore, targets)
    signals = [unit.signal(explore.activations(unit.unsided))[explore.mask] for unit in targets]
    r = np.corrcoef(signals)
    for row, unit in enumerate(targets):
        others = [
            (r[row, column], str(other))
            for column, other in enumerate(targets)
            if other.unsided != unit.unsided
        ]
        expected = [(value, name) for value, name in sorted(others, reverse=True) if value > 0]
        similar = together[str(unit)]
        assert similar.compared == len(others)
        assert [n for n, _ in similar.alike] == [name for _, name in expected[:N_RECORDED]]
        assert [value for _, value in similar.alike] == pytest.approx(
            [value for value, _ in expected[:N_RECORDED]], abs=1e-3
        )
        assert similar.opposite[0].unit == min(others)[1]


def test_a_unit_alone_has_nothing_to_be_active_with(explore: Collected) -> None:
    alone = Unit.parse(explore.targets[0])
    assert coactive_targets(explore, [alone]) == {}
    assert coactive_targets(explore, [alone, Unit.parse(f"{alone}-")]) == {}


def test_similar_collected_units_are_of_the_same_layer_and_side_and_correlate_or_write_alike(
    explore: Collected, indexed: InstrumentContext
) -> None:
    unit = Unit("mlp", 1, 4, side="-")
    subject = indexed.require_subject()
    others = [Unit("mlp", 1, index, side="-") for index in range(0, N_NEURONS, 4) if index != 4]

    def signal(of: Unit) -> np.ndarray:
        return of.signal(explore.activations(of.unsided))[explore.mask]

    def cosine(of: Unit) -> float:
        a, b = (subject.write_direction(u.unsided).numpy() for u in (unit, of))
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    r = {other: float(np.corrcoef(signal(unit), signal(other))[0, 1]) for other in others}
    assert similar_collected_units(unit, explore, k=3) == sorted(others, key=lambda u: -r[u])[:3]
    nearness = {other: max(r[other], cosine(other)) for other in others}
    assert (
        similar_collected_units(unit, explore, subject, k=3)
        == sorted(others, key=lambda u: -nearness[u])[:3]
    )
