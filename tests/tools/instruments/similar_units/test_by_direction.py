"""Neighbours by direction against cosines of matrices written out in full."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.similar_units import by_direction
from hubel.tools.instruments.similar_units.by_direction import Nearest, nearest_by_direction
from hubel.tools.subject.address import Unit
from tests.support.tiny import MODEL_TYPES, N_LAYERS, N_NEURONS, tiny_subject


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


def nearest(context: InstrumentContext, **arguments: Any) -> Nearest:
    result = call("nearest", {"k": 5, **arguments}, context)
    assert isinstance(result, Nearest)
    return result


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


def check(result: Nearest, unit: str, directions: dict[str, torch.Tensor]) -> None:
    direction = directions.pop(unit)
    expected = sorted(
        ((cosine(direction, d), name) for name, d in directions.items()), reverse=True
    )
    assert [n.unit for n in result.alike] == [name for _, name in expected[:5]]
    assert [n.cosine for n in result.alike] == pytest.approx([c for c, _ in expected[:5]], abs=1e-5)
    assert result.opposite[0].unit == expected[-1][1]
    assert result.compared == len(expected)


@pytest.mark.parametrize("by", ["write", "read"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_neurons_by_what_they_write_and_read(family: str, by: str) -> None:
    context = InstrumentContext(tiny_subject(family))
    model, directions = context.require_subject().model, dict[str, torch.Tensor]()
    for layer in range(N_LAYERS):
        for i in range(N_NEURONS):
            if family == "gpt2":
                mlp = model.transformer.h[layer].mlp
                vector = mlp.c_proj.weight[i] if by == "write" else mlp.c_fc.weight[:, i]
            else:
                mlp = model.model.layers[layer].mlp
                into = mlp.gate_up_proj if family == "phi3" else mlp.gate_proj
                vector = mlp.down_proj.weight[:, i] if by == "write" else into.weight[i]
            directions[f"mlp.{layer}.{i}"] = vector
    check(nearest(context, unit="mlp.1.5-", by=by), "mlp.1.5", directions)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_heads_by_their_ov_matrix_with_shared_values(family: str) -> None:
    context = InstrumentContext(tiny_subject(family))
    subject, directions = context.require_subject(), dict[str, torch.Tensor]()
    for layer in range(N_LAYERS):
        for head in range(4):
            own = slice(head * 4, head * 4 + 4)
            if family == "gpt2":
                attention = subject.model.transformer.h[layer].attn
                directions[f"head.{layer}.{head}"] = (
                    attention.c_proj.weight[own].T @ attention.c_attn.weight[:, 32:][:, own].T
                )
            else:
                attention = subject.model.model.layers[layer].self_attn
                shared = slice(head // 2 * 4, head // 2 * 4 + 4)  # two heads read one value
                directions[f"head.{layer}.{head}"] = (
                    attention.o_proj.weight[:, own] @ attention.v_proj.weight[shared]
                )
    result = nearest(context, unit="head.1.2")
    check(result, "head.1.2", directions)
    assert result.by == "move"


def test_a_named_direction_is_compared_with_neurons_and_its_like() -> None:
    along = torch.zeros(16)
    along[3] = 1
    context = InstrumentContext(tiny_subject(directions={0: {"a": along}, 2: {"b": along + 0.01}}))
    result = nearest(context, unit="resid.0@a")
    assert (result.alike[0].unit, result.alike[0].depth) == ("resid.2@b", "later")
    assert result.compared == N_LAYERS * N_NEURONS + 1


def test_depth_is_told_without_a_layer(context: InstrumentContext) -> None:
    result = nearest(context, unit="mlp.1.5", k=50)
    depths = {n.unit.split(".")[1]: n.depth for n in result.alike}
    assert depths == {"0": "earlier", "1": "same", "2": "later"}
    assert "earlier in the model" in result.render()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"unit": "mlp.1.99"}, "units 0 to 23"),
        ({"unit": "head.1.0", "by": "read"}, "compare its OV"),
        ({"unit": "mlp.1.5", "by": "taste"}, "by: "),
        ({"unit": "resid.1@none"}, "no such direction"),
    ],
)
def test_invalid_units_are_refused_with_a_hint(
    context: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        nearest(context, **arguments)


@pytest.mark.parametrize("family", MODEL_TYPES)
def test_every_family_has_neighbours(family: str) -> None:
    assert len(nearest(InstrumentContext(tiny_subject(family)), unit="mlp.1.5").alike) == 5


def test_many_units_at_once_have_the_neighbours_of_each_alone(monkeypatch) -> None:
    monkeypatch.setattr(by_direction, "HEADS_AT_ONCE", 3)
    subject, steps = tiny_subject(), []
    units = [Unit("head", layer, i) for layer in range(N_LAYERS) for i in range(4)]
    units += [Unit("mlp", 1, i) for i in range(3)]
    together = nearest_by_direction(subject, units, lambda done, of: steps.append((done, of)))
    assert steps == [(done, 2 * N_LAYERS) for done in range(1, 2 * N_LAYERS + 1)]
    for unit in units:
        (alone,) = nearest_by_direction(subject, [unit]).values()
        assert together[str(unit)].compared == alone.compared
        for a, b in zip(together[str(unit)].alike, alone.alike, strict=True):
            assert a.unit == b.unit
            assert a.value == pytest.approx(b.value, abs=2e-4)


def test_heads_whose_values_cannot_be_found_are_left_out() -> None:
    """A family that normalises its writes has no description of its values."""
    units = [Unit("head", 1, 0), Unit("mlp", 1, 5)]
    assert list(nearest_by_direction(tiny_subject("gemma2"), units)) == ["mlp.1.5"]
