"""Interventions against a naive re-implementation: modules wrapped by hand, values changed one number at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hubel.tools.errors import UsageError
from hubel.tools.subject import Intervention, Site, Subject, Unit
from hubel.tools.subject.architectures import matrix
from tests.support.tiny import D_MODEL, MODEL_TYPES, N_HEADS, tiny_subject

DIRECTION = torch.linspace(-1, 2, D_MODEL)
ROWS = (
    "Monday the cat said very",
    "the dog was not in 1999",
    "a river bank on Friday",
    "red and blue city of",
)


def family(model_type: str) -> Subject:
    return tiny_subject(model_type, directions={1: {"d": DIRECTION}})


def batch(subject: Subject, texts: Sequence[str] = ROWS) -> Tensor:
    rows = [subject.tokenize(text).ids for text in texts]
    return torch.tensor([row[: min(map(len, rows))] for row in rows])


@contextmanager
def tampered(subject: Subject, site: Site, change: Callable[[Tensor], None]) -> Iterator[None]:
    """Replace the forward of the module at the site by one that changes its input, or a layer's output, by hand."""
    layer = subject.parts.layers[site.layer]
    module = {"mlp": layer.mlp_down, "z": layer.attention_out, "stream": layer.whole}[site.kind]
    original = module.forward

    def forward(value: Tensor, *args: Any, **kwargs: Any) -> Any:
        if site.kind != "stream":
            value = value.clone()
            change(value)
            return original(value, *args, **kwargs)
        output = original(value, *args, **kwargs).clone()
        change(output)
        return output

    module.forward = forward  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        del module.forward


def logits(subject: Subject, ids: Tensor, interventions: list[list[Intervention]]) -> Tensor:
    result = subject.capture(ids, [], interventions=interventions, logits=True).logits
    assert result is not None
    return result


def clean_values(subject: Subject, text: tuple[int, ...], site: Site) -> Tensor:
    return subject.capture(torch.tensor([text]), [site]).activations[site][0]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_interventions_on_neurons_match_a_hook_by_hand(model_type: str) -> None:
    subject = family(model_type)
    ids, unit, site = batch(subject), Unit("mlp", 1, 5), Site("mlp", 1)
    source = tuple(subject.tokenize("blue Tuesday said the dog on a bank").ids)
    source_values = clean_values(subject, source, site)[:, 5]
    drawn = np.random.default_rng(3).integers(1, len(source), 2)
    rows = [
        [Intervention(unit, "zero", (2,)), Intervention(Unit("mlp", 1, 6), "set", value=1.5)],
        [
            Intervention(unit, "resample", (1, 3), source=source, seed=3),
            Intervention(unit, "scale", (0,), value=-2.0),
        ],
        [Intervention(unit, "patch", (1, 2), source=source, source_positions=(4, 0))],
        [Intervention(unit, "mean", source=source), Intervention(unit, "add", (0, 1), value=0.5)],
    ]

    def change(value: Tensor) -> None:
        value[0, 2, 5] = 0
        value[0, :, 6] = 1.5
        value[1, 1, 5], value[1, 3, 5] = source_values[drawn[0]], source_values[drawn[1]]
        value[1, 0, 5] *= -2
        value[2, 1, 5], value[2, 2, 5] = source_values[4], source_values[0]
        value[3, :, 5] = source_values[1:].mean()
        value[3, :2, 5] += 0.5

    assert_same_as_by_hand(subject, ids, rows, site, change)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_interventions_on_heads_match_a_hook_by_hand(model_type: str) -> None:
    subject = family(model_type)
    ids, unit, site, width = batch(subject), Unit("head", 0, 2), Site("z", 0), subject.head_dim
    columns = range(2 * width, 3 * width)
    source = tuple(subject.tokenize("blue Tuesday said the dog on a bank").ids)
    source_values = clean_values(subject, source, site)
    vector = tuple(float(i) for i in range(width))
    rows = [
        [Intervention(unit, "zero")],
        [Intervention(unit, "patch", (1,), source=source)],
        [
            Intervention(unit, "add", (0,), value=vector),
            Intervention(Unit("head", 0, 0), "scale", value=3.0),
        ],
        [Intervention(unit, "mean", (2, 3), source=source)],
    ]

    def change(value: Tensor) -> None:
        for j, column in enumerate(columns):
            value[0, :, column] = 0
            value[1, 1, column] = source_values[1, column]
            value[2, 0, column] += j
            for position in (2, 3):
                value[3, position, column] = source_values[1:, column].mean()
        for column in range(width):
            value[2, :, column] *= 3

    assert_same_as_by_hand(subject, ids, rows, site, change)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_stream_and_directions(model_type: str) -> None:
    subject = family(model_type)
    ids, whole, named, site = (
        batch(subject),
        Unit("resid", 1),
        Unit("resid", 1, name="d"),
        Site("stream", 1),
    )
    u = DIRECTION / DIRECTION.norm()
    source = tuple(subject.tokenize("blue Tuesday said the dog on a bank").ids)
    source_values = clean_values(subject, source, site)
    rows = [
        [Intervention(whole, "patch", (0, 4), source=source)],
        [Intervention(named, "add", value=2.5)],
        [Intervention(named, "zero", (1, 2)), Intervention(whole, "scale", (3,), value=0.5)],
        [
            Intervention(named, "set", (1,), value=-4.0),
            Intervention(named, "patch", (2,), source=source),
        ],
    ]

    def change(value: Tensor) -> None:
        for position in (0, 4):
            value[0, position] = source_values[position]
        value[1] += 2.5 * u
        for position in (1, 2):
            value[2, position] -= (value[2, position] @ u) * u
        value[2, 3] *= 0.5
        value[3, 1] += (-4.0 - value[3, 1] @ u) * u
        value[3, 2] += (source_values[2] @ u - value[3, 2] @ u) * u

    assert_same_as_by_hand(subject, ids, rows, site, change)


def assert_same_as_by_hand(
    subject: Subject,
    ids: Tensor,
    rows: list[list[Intervention]],
    site: Site,
    change: Callable[[Tensor], None],
) -> None:
    clean = logits(subject, ids, [[]] * len(ids))
    ours = logits(subject, ids, rows)
    with tampered(subject, site, change), torch.inference_mode():
        naive = subject.model(ids).logits
    torch.testing.assert_close(ours, naive, rtol=1e-4, atol=1e-4)
    assert all(not torch.allclose(ours[row], clean[row], atol=1e-3) for row in range(len(ids)))
    assert torch.equal(logits(subject, ids, [[]] * len(ids)), clean), "the subject is as it was"


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_zeroing_is_deleting_the_weights(model_type: str) -> None:
    subject = family(model_type)
    ids = batch(subject)
    ours = logits(
        subject,
        ids,
        [[Intervention(Unit("mlp", 2, 7), "zero"), Intervention(Unit("head", 1, 3), "zero")]] * 4,
    )
    with torch.no_grad():
        matrix(subject.parts.layers[2].mlp_down)[:, 7] = 0
        matrix(subject.parts.layers[1].attention_out).unflatten(1, (N_HEADS, -1))[:, 3] = 0
        torch.testing.assert_close(ours, subject.model(ids).logits, rtol=1e-4, atol=1e-4)


def test_what_is_captured_is_what_was_put_there() -> None:
    subject = tiny_subject()
    ids = batch(subject)
    unit = Unit("mlp", 0, 3)
    rows = [[Intervention(unit, "set", (1,), value=float(row))] for row in range(4)]
    values = subject.unit_activations(ids, [unit], interventions=rows)[0]
    assert values[:, 1].tolist() == [0, 1, 2, 3]
    clean = subject.unit_activations(ids, [unit])[0]
    assert torch.equal(values[:, 2:], clean[:, 2:])


def test_a_side_is_changed_only_where_the_unit_is_on_it() -> None:
    subject = tiny_subject()
    ids, unit = batch(subject), Unit("mlp", 1, 5)
    clean = subject.unit_activations(ids, [unit])[0]
    assert (clean > 0).any()
    assert (clean < 0).any()
    for side, expected in (("-", clean.clamp(min=0)), ("+", clean.clamp(max=0))):
        zero = Intervention(Unit.parse(f"{unit}{side}"), "zero")
        assert torch.equal(
            subject.unit_activations(ids, [unit], interventions=[[zero]] * 4)[0], expected
        )


def test_patching_a_text_with_itself_is_nothing() -> None:
    subject = family("llama")
    ids = batch(subject)
    rows = [
        [
            Intervention(Unit.parse(text), "patch", source=tuple(row.tolist()))
            for text in ("mlp.1.2", "head.2.1", "resid.1")
        ]
        for row in ids
    ]
    torch.testing.assert_close(logits(subject, ids, rows), logits(subject, ids, [[]] * 4))


def test_an_error_on_the_way_leaves_the_subject_as_it_was() -> None:
    subject = tiny_subject()
    ids = batch(subject)
    clean = logits(subject, ids, [[]] * 4)
    rows = [[Intervention(Unit("mlp", 1, 5), "zero")]] * 4

    def fail(*_: Any) -> None:
        raise RuntimeError("midway")

    handle = subject.parts.layers[2].mlp.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="midway"):
        logits(subject, ids, rows)
    handle.remove()
    assert all(
        not module._forward_hooks and not module._forward_pre_hooks
        for module in subject.model.modules()
    )
    assert torch.equal(logits(subject, ids, [[]] * 4), clean)


numbers = st.floats(-100, 100, width=32)
operations = st.one_of(
    st.builds(
        Intervention,
        st.just(Unit.parse("mlp.1.5-")),
        st.sampled_from(["set", "add", "scale"]),
        value=numbers,
    ),
    st.builds(
        Intervention,
        st.sampled_from([Unit.parse("head.1.2"), Unit.parse("resid.1@d"), Unit.parse("resid.2")]),
        st.sampled_from(["mean", "resample", "patch"]),
        st.lists(st.integers(0, 9), max_size=3).map(tuple),
        source=st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple),
        seed=st.integers(0, 5),
    ),
    st.builds(
        Intervention,
        st.just(Unit.parse("head.0.1")),
        st.just("set"),
        value=st.tuples(numbers, numbers),
    ),
)


@given(operations)
def test_interventions_are_plain_data(intervention: Intervention) -> None:
    back = Intervention.from_json(json.loads(json.dumps(intervention.to_json())))
    assert back == intervention
    assert hash(back) == hash(intervention)


@pytest.mark.parametrize(
    ("given_", "what"),
    [
        ({"op": "erase"}, "no such operation"),
        ({"op": "set"}, "needs a value"),
        ({"op": "patch"}, "needs a source"),
        ({"op": "mean"}, "needs a value or a source"),
        ({"op": "zero", "positions": [-1]}, "cannot be negative"),
        (
            {"op": "patch", "source": [1, 2], "positions": [1], "source_positions": [0, 1]},
            "one for one",
        ),
        ({"op": "zero", "unit": "head.0.1-"}, "no sides"),
        ({"op": "zero", "unit": "nonsense"}, "'nonsense'"),
        ({"op": "zero", "colour": "red"}, "its fields are"),
        ({"op": "zero", "unit": "mlp.1.99"}, "units 0 to 23"),
        ({"op": "zero", "unit": "resid.7"}, "layers 0 to 2"),
        ({"op": "zero", "positions": [50]}, "position 50"),
        ({"op": "set", "value": [1.0, 2.0]}, "expected one number"),
        ({"op": "set", "value": [1.0, 2.0], "unit": "head.0.1"}, "expected 4"),
        ({"op": "patch", "source": [1, 2]}, "of a source of 2 tokens"),
    ],
)
def test_wrong_interventions_say_what_is_right(given_: dict[str, Any], what: str) -> None:
    subject = tiny_subject()
    ids = batch(subject)
    with pytest.raises(UsageError, match=what):
        logits(subject, ids, [[Intervention.from_json({"unit": "mlp.1.5", **given_})]] * 4)


def test_interventions_need_one_list_per_row() -> None:
    subject = tiny_subject()
    with pytest.raises(UsageError, match="one per row"):
        logits(subject, batch(subject), [[]])
