from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.errors import UsageError
from hubel.tools.subject import Site, Unit
from hubel.tools.subject.nulls import (
    NoiseUnit,
    RedrawnUnit,
    incoming_weights,
    redrawn_unit,
    rotated_units,
    shuffled_unit,
)
from tests.support.tiny import D_MODEL, MODEL_TYPES, N_NEURONS, tiny_subject

PLACE = Unit("mlp", 1, N_NEURONS)
IDS = torch.randint(1, 300, (6, 64), generator=torch.Generator().manual_seed(0))


def test_noise_is_gaussian_and_a_function_of_the_text() -> None:
    ids = torch.randint(1, 300, (400, 64), generator=torch.Generator().manual_seed(1))
    noise = NoiseUnit(unit=PLACE)
    values = noise.values({}, ids)
    assert values.shape == ids.shape
    assert abs(values.mean()) < 0.03
    assert abs(values.std() - 1) < 0.03
    assert torch.equal(noise.values({}, ids[7:9]), values[7:9])
    padded = torch.cat([ids[:1], torch.zeros(1, 5, dtype=torch.long)], dim=1)
    assert torch.equal(noise.values({}, padded)[:, :64], values[:1])
    for other in (NoiseUnit(unit=PLACE, seed=1), NoiseUnit(unit=Unit("mlp", 1, 99))):
        assert abs(np.corrcoef(other.values({}, ids).ravel(), values.ravel())[0, 1]) < 0.03


def test_shuffled_gives_whole_contexts_another_place() -> None:
    subject = tiny_subject()
    source = Unit("mlp", 1, 4)
    null = shuffled_unit(subject, PLACE, source, seed=3)
    values = null.values(subject.capture(IDS, null.sources).activations, IDS)
    assert torch.equal(values, subject.unit_activations(IDS, [source])[0])
    arranged = null.arrange(values.numpy(), np.full(6, 64), "explore")
    rows = {row.tobytes() for row in values.numpy()}
    assert {row.tobytes() for row in arranged} == rows
    assert not np.array_equal(arranged, values.numpy())
    assert not np.array_equal(arranged, null.arrange(values.numpy(), np.full(6, 64), "holdout"))


def test_shuffled_values_come_from_real_tokens_only() -> None:
    null = shuffled_unit(tiny_subject(), PLACE, Unit("mlp", 1, 4))
    length = np.array([64, 2, 1, 40, 64, 7])
    owner = np.arange(6)[:, None] * 100 + np.arange(64)
    real = np.where(np.arange(64) < length[:, None], owner, -1).astype(np.float32)
    arranged = null.arrange(real, length, "select")
    assert arranged.min() >= 0, "no value from behind a context's end"
    giver = (arranged[:, 0] // 100).astype(int)
    assert sorted(giver) == list(range(6))
    for row, source in zip(arranged, giver, strict=True):
        if length[source] == 1:
            assert not row[1:].any(), "the attention sink's value stays at position 0"
            continue
        assert (row // 100 == source).all()
        assert (row[: length[source]] == real[source, : length[source]]).all(), "positions are kept"
        assert (row[1:] % 100 > 0).all(), "the attention sink's value stays at position 0"


def test_shuffled_on_new_text_is_a_donor_run() -> None:
    subject = tiny_subject()
    null = shuffled_unit(subject, PLACE, Unit("mlp", 1, 4), donors=[(5, 6, 7), (8, 9, 10, 11)])
    text = null.text_for([1, 2, 3, 4])
    assert len(text) == 4
    assert text == null.text_for([1, 2, 3, 4])
    assert {null.text_for([i, 2, 3])[:3] for i in range(20)} == {(5, 6, 7), (8, 9, 10)}
    with pytest.raises(UsageError, match="donor"):
        shuffled_unit(subject, PLACE, Unit("mlp", 1, 4)).text_for([1])


def test_rotation_is_orthonormal_and_the_same_for_any_number() -> None:
    subject = tiny_subject()
    units = [Unit("mlp", 2, N_NEURONS + i) for i in range(N_NEURONS)]
    controls = rotated_units(subject, units, seed=5)
    rows = torch.stack([control.direction for control in controls])
    torch.testing.assert_close(rows @ rows.T, torch.eye(N_NEURONS), atol=1e-5, rtol=0)
    few = rotated_units(subject, units[:3], seed=5)
    torch.testing.assert_close(torch.stack([control.direction for control in few]), rows[:3])
    assert not torch.allclose(rotated_units(subject, units[:1], seed=6)[0].direction, rows[0])

    captured = subject.capture(IDS, controls[0].sources).activations
    values = torch.stack([control.values(captured, IDS) for control in controls])
    torch.testing.assert_close(values.norm(dim=0), captured[Site("mlp", 2)].norm(dim=-1))
    with pytest.raises(UsageError, match="one layer"):
        rotated_units(subject, [PLACE, units[0]])
    with pytest.raises(UsageError, match="24 neurons"):
        rotated_units(subject, [*units, Unit("mlp", 2, 99)])


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_redrawn_with_its_own_rows_is_the_neuron(model_type: str) -> None:
    subject = tiny_subject(model_type)
    source = Unit("mlp", 1, 9)
    rows, bias = incoming_weights(subject, source)
    activation = subject.parts.layers[1].activation
    same = RedrawnUnit(unit=PLACE, rows=rows, bias=bias, activation=activation)
    captured = subject.capture(IDS, [*same.sources, source.place]).activations
    torch.testing.assert_close(
        same.values(captured, IDS), captured[source.place][..., 9], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "phi3"])
def test_redrawn_rows_are_random_with_the_same_norm(model_type: str) -> None:
    subject = tiny_subject(model_type)
    source = Unit("mlp", 1, 9)
    rows, _ = incoming_weights(subject, source)
    control = redrawn_unit(subject, PLACE, source, seed=2)
    torch.testing.assert_close(control.rows.norm(dim=1), rows.norm(dim=1))
    assert control.rows.shape == rows.shape == (1 if model_type == "gpt2" else 2, D_MODEL)
    assert not torch.allclose(control.rows, rows, atol=0.1)
    assert torch.equal(control.rows, redrawn_unit(subject, PLACE, source, seed=2).rows)
    values = control.values(subject.capture(IDS, control.sources).activations, IDS)
    assert values.shape == IDS.shape
    assert values.std() > 0
    with pytest.raises(UsageError, match="same layer"):
        redrawn_unit(subject, PLACE, Unit("mlp", 2, 9))


def test_nulls_and_controls_are_told_apart() -> None:
    subject = tiny_subject()
    null, control = NoiseUnit(unit=PLACE), rotated_units(subject, [PLACE])[0]
    assert (null.kind, null.is_control) == ("noise", False)
    assert (control.kind, control.is_control) == ("rotated", True)
    assert redrawn_unit(subject, PLACE, Unit("mlp", 1, 0)).is_control
