"""The nearest units of many units at once, against the instrument that asks for one, and against `numpy.corrcoef`."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.index import Collected, collect
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.nearest import Nearest
from hubel.tools.instruments.neighbours import NEAREST, active_together, nearest_by_direction
from hubel.tools.subject import Unit
from tests.support.tiny import N_LAYERS, N_NEURONS, tiny_subject


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_many_at_once_are_what_the_instrument_says_of_each(family: str) -> None:
    subject = tiny_subject(family)
    units = [Unit.parse(name) for name in ("mlp.0.3", "mlp.2.7-", "head.1.2", "mlp.2.7")]
    found = nearest_by_direction(subject, units)
    assert list(found) == ["head.1.2", "mlp.0.3", "mlp.2.7"]
    for name, neighbours in found.items():
        told = call("nearest", {"unit": name, "k": NEAREST}, InstrumentContext(subject))
        assert isinstance(told, Nearest)
        assert (neighbours.by, neighbours.compared) == (told.by, told.compared)
        assert [near.unit for near in neighbours.alike] == [near.unit for near in told.alike]
        assert [near.value for near in neighbours.alike] == pytest.approx(
            [n.cosine for n in told.alike], abs=1e-4
        )
        assert [near.unit for near in neighbours.opposite] == [near.unit for near in told.opposite]


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
    found = active_together(explore, targets)
    signals = [unit.signal(explore.activations(unit.unsided))[explore.mask] for unit in targets]
    r = np.corrcoef(signals)
    for row, unit in enumerate(targets):
        others = [
            (r[row, at], str(other))
            for at, other in enumerate(targets)
            if other.unsided != unit.unsided
        ]
        expected = sorted(others, reverse=True)[:NEAREST]
        told = found[str(unit)]
        assert told.compared == len(others)
        assert [near.unit for near in told.alike] == [name for value, name in expected if value > 0]
        assert [near.value for near in told.alike] == pytest.approx(
            [v for v, _ in expected if v > 0], abs=1e-3
        )
        assert told.opposite[0].unit == min(others)[1]


def test_a_unit_alone_has_nothing_to_be_active_with(explore: Collected) -> None:
    alone = Unit.parse(explore.targets[0])
    assert active_together(explore, [alone]) == {}
    assert active_together(explore, [alone, Unit.parse(f"{alone}-")]) == {}
