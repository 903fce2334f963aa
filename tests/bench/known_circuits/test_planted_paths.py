"""Paths planted in a tiny subject: they act and nothing else does, and the weights are back afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from hubel.bench.known_circuits.plant import ReservedSubject, planting, reserve
from hubel.bench.known_circuits.planted_paths import (
    KINDS,
    N_DIRECTIONS,
    Kind,
    PathEffects,
    draw_path,
    measure_path,
    plant_path,
    reserve_for_paths,
)
from hubel.tools.circuits.forward_record import record
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.errors import UsageError
from hubel.tools.subject import Subject
from hubel.tools.subject.architectures import matrix, norm_scale
from tests.support.tiny import tiny_subject, tiny_tokenizer

SIZES: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 96,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


@pytest.fixture(scope="module")
def reserved() -> ReservedSubject:
    """A random Llama in doubles, wide enough that nine directions are a small part of it."""
    config = AutoConfig.for_model("llama", **SIZES)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).double().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.2 if "norm" not in name else 0.1).add_(1 if "norm" in name else 0)
    return reserve_for_paths(Subject(model, tiny_tokenizer(), name="wide", revision="0"), 0)


def _weights(reserved: ReservedSubject) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in reserved.subject.model.state_dict().items()}


def test_the_directions_are_among_the_quietest() -> None:
    """What is in them is far less than in as many drawn among all."""
    subject = tiny_subject()
    subject.model.double()
    with torch.no_grad():
        for parts in subject.parts.layers:  # nobody writes much along the first four axes
            for writer in (parts.attention_out, parts.mlp_down):
                matrix(writer)[:4] *= 1e-3
        subject.model.get_input_embeddings().weight[:, :4] *= 1e-3
    ids = torch.arange(1, 121).view(12, 10)
    directions = reserve(subject, 2, 0, ids).directions
    assert directions[:, :4].square().sum(1).min() > 0.99


def test_nothing_writes_the_reserved_directions_and_nothing_reads_them(
    reserved: ReservedSubject,
) -> None:
    ids = torch.tensor([[5, 9, 40, 7], [3, 80, 2, 11]])
    recording = record(reserved.model, ids, lambda logits: logits.sum(-1))
    for stream in recording.stream.values():
        assert (stream @ reserved.directions.T).abs().max() < 1e-9
    for reads in reserved.model.readers:
        seen = reserved.directions * norm_scale(reads.attention_norm, "rms")
        for reader in reads.projections:
            assert (seen @ matrix(reader).T).abs().max() < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_moves_the_answer_by_its_strength_and_other_edges_do_not_change(
    kind: Kind, reserved: ReservedSubject
) -> None:
    effects = {strength: _effects(reserved, kind, strength) for strength in (10.0, 40.0)}
    for measured, _ in effects.values():
        assert measured.fault is None
        assert all(
            0.8 < share < 1.2 for share in measured.each
        )  # what the subject does on those edges is there too
    louder = (effects[40.0][1] - effects[10.0][1]).abs().max()
    assert louder < 0.3 * (40 - 10)  # but by way of the norm, which in a random subject moves much


def _effects(
    reserved: ReservedSubject, kind: Kind, strength: float
) -> tuple[PathEffects, torch.Tensor]:
    """What the path does, and what other edges do, patched exactly: all of its components', and a tenth of the rest."""
    path = draw_path(reserved, kind, strength, 0)
    with plant_path(reserved, path, 3) as planted:
        others = [
            edge
            for number, edge in enumerate(reserved.model.graph.edges_of(~planted.truth))
            if number % 10 == 0
            or {edge.source, edge.target} & {each.source for each in planted.edges[1:]}
        ]
        return measure_path(reserved.model, planted), Sweep(reserved.model, planted.pairs).edges(
            others
        ).mean(1)


def test_weights_are_back_after_an_exception(reserved: ReservedSubject) -> None:
    before = _weights(reserved)
    path = draw_path(reserved, "relay", 1.0, 3)
    with pytest.raises(ZeroDivisionError), plant_path(reserved, path, 2):  # noqa: PT012
        assert any(
            not torch.equal(value, before[name]) for name, value in _weights(reserved).items()
        )
        raise ZeroDivisionError
    assert all(torch.equal(value, before[name]) for name, value in _weights(reserved).items())


def test_weights_are_back_when_planting_itself_fails(reserved: ReservedSubject) -> None:
    before = _weights(reserved)
    direction = torch.eye(N_DIRECTIONS, dtype=torch.float64)[0]
    with pytest.raises(IndexError), planting(reserved) as put:  # noqa: PT012
        put.head(0, 1, direction, direction, direction, 2)
        put.neuron(1, 9999, direction, direction, 2)
    assert all(torch.equal(value, before[name]) for name, value in _weights(reserved).items())


def test_twins_differ_in_the_trigger_alone(reserved: ReservedSubject) -> None:
    path = draw_path(reserved, "copy", 1.0, 0)
    with plant_path(reserved, path, 8) as planted:
        pairs = planted.pairs
    differ = pairs.clean != pairs.corrupted
    assert (differ.sum(1) == 1).all()
    assert set(pairs.clean[differ].tolist()) == {path.tokens[0]}
    assert set(pairs.corrupted[differ].tolist()) == {path.tokens[1]}
    assert (pairs.clean[:, -1] == path.tokens[3]).all()


def test_a_path_that_carries_too_little_has_a_fault() -> None:
    assert (
        PathEffects((1.0, 0.4, 1.0), 1.0, 0.0).fault == "an edge of it carries 0.40 of its strength"
    )
    assert PathEffects((1.0, 1.0), 0.2, 0.0).fault == "alone it has 0.20 of its strength"
    assert PathEffects((0.9, 1.1), 0.9, -3.0).fault is None


def test_unsupported_families_are_refused() -> None:
    with pytest.raises(UsageError, match="llama, mistral"):
        reserve_for_paths(tiny_subject("gpt2"), 0)
