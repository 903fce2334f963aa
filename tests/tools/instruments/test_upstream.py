"""Direct contributions: they add up, neurons add up to their MLP, sources to their head, and a naive one agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.upstream import Contribution, Upstream, instrument
from hubel.tools.subject import Unit
from hubel.tools.subject.address import Site
from hubel.tools.subject.attach_latents import attach_latents
from tests.support.dictionaries import random_dictionary
from tests.support.tiny import MODEL_TYPES, tiny_subject

TEXT = "very Monday the cat said 1999 in the red city"
NORMED = ("gemma2", "gemma3_text")
"""Families that normalise what is written, which then is no sum."""


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


def result_of(context: InstrumentContext, **arguments: Any) -> Upstream:
    result = call("upstream", {"unit": "mlp.2.5", "text": TEXT, "k": 50, **arguments}, context)
    assert isinstance(result, Upstream)
    return result


def total(parts: list[Contribution], name: str) -> float:
    return sum(getattr(part, name) or 0.0 for part in parts)


@pytest.mark.parametrize("family", [family for family in MODEL_TYPES if family not in NORMED])
def test_the_shares_add_up_in_every_family(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    context = InstrumentContext(tiny_subject(family))
    monkeypatch.setattr(instrument, "N_HEADS", 50)
    monkeypatch.setattr(instrument, "N_SOURCES", 50)
    result, subject = result_of(context), context.require_subject()
    parts = [*result.parts, result.rest]
    assert total(parts, "gate") == pytest.approx(result.gate, abs=1e-4)
    if result.up is not None:
        assert total(parts, "up") == pytest.approx(result.up, abs=1e-4)
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    real = float(subject.unit_activations(ids, [Unit.parse("mlp.2.5")])[0, 0, result.position])
    assert result.activation == pytest.approx(real, rel=1e-4, abs=1e-5)
    heads = [part for part in result.parts if part.part.startswith("head")]
    assert len(heads) == (12 if family != "gpt_neox" else 8)
    for part in heads:
        assert sum(effect for _, effect in part.sources) == pytest.approx(
            part.effect, rel=1e-3, abs=1e-5
        )
    few = result_of(context, k=2)
    assert total([*few.parts, few.rest], "gate") == pytest.approx(result.gate, abs=1e-4)
    assert few.rest.part == f"{len(result.parts) - 2} others"


def test_neurons_add_up_to_their_mlp(context: InstrumentContext) -> None:
    result = result_of(context)
    mlp = {part.part: part for part in result.parts if part.part.startswith("mlp")}
    assert len(result.neurons) == 48
    for name, whole in mlp.items():
        own = [n for n in result.neurons if n.part.startswith(f"{name}.")]
        assert total(own, "gate") == pytest.approx(whole.gate, abs=1e-4)
        assert total(own, "effect") == pytest.approx(whole.effect, abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("activation", ["relu", "topk", "jumprelu", "gated"])
@pytest.mark.parametrize(
    ("reads", "writes", "normalisation"),
    [
        (Site("stream", 1), None, "none"),
        (Site("stream", 1), None, "constant_norm"),
        (Site("stream", 1), None, "layer_norm"),
        (Site("stream", -1), None, "none"),
        (Site("mlp_in", 1), Site("mlp_out", 1), "none"),
    ],
)
def test_shares_of_a_latent_add_up(
    family: str, activation: Any, reads: Site, writes: Site | None, normalisation: Any
) -> None:
    subject = tiny_subject(family)
    drawn = random_dictionary(subject, "d", reads, writes, activation=activation, threshold=0.3)
    dictionary = replace(drawn, normalisation=normalisation)
    attach_latents(subject, dictionary)
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    site = Site.of_dictionary("d")
    latent = int(subject.capture(ids, [site]).activations[site][0, 1:].amax(0).argmax())
    context = InstrumentContext(subject)
    result = result_of(context, unit=f"sae.d.{latent}")
    assert total([*result.parts, result.rest], "up") == pytest.approx(result.up, abs=1e-4)
    raw = subject.capture(ids, [reads]).activations[reads][0, result.position]
    pre = dictionary.normalised(raw)[0] @ dictionary.encoder[:, latent]
    pre = pre + dictionary.constant(latent)
    assert result.up == pytest.approx(float(pre), abs=1e-4)
    real = float(dictionary.encode(raw)[latent])
    assert real > 0
    assert result.activation == pytest.approx(real, abs=1e-4)
    if reads.layer < 0:
        assert {part.part for part in result.parts} == {"embedding", "biases"}


def test_latents_that_are_no_sum_of_parts_are_refused() -> None:
    subject = tiny_subject()
    attach_latents(subject, random_dictionary(subject, "z", Site("z", 1)))
    with pytest.raises(
        ArgumentError, match=r"'sae.z.0' reads z.1; known are latents of the stream"
    ):
        result_of(InstrumentContext(subject), unit="sae.z.0")


def test_a_head_by_hand(context: InstrumentContext) -> None:
    """Its write, through this model's own norm with the scale frozen, onto the gate row."""
    subject, result = context.require_subject(), result_of(context, focus="city")
    layers, ids = subject.model.model.layers, torch.tensor([subject.tokenize(TEXT).ids])
    seen: dict[str, torch.Tensor] = {}
    handles = [
        layers[1].self_attn.o_proj.register_forward_pre_hook(
            lambda _m, a: seen.update(z=a[0][0, -1])
        ),
        layers[2].post_attention_layernorm.register_forward_pre_hook(
            lambda _m, a: seen.update(x=a[0][0, -1])
        ),
    ]
    with torch.no_grad():
        subject.model(ids)
        for handle in handles:
            handle.remove()
        z = torch.zeros_like(seen["z"])
        width = subject.head_dim
        z[3 * width :] = seen["z"][3 * width :]
        written = layers[1].self_attn.o_proj(z)
        norm = layers[2].post_attention_layernorm
        scaled = norm.weight * written / (seen["x"].square().mean() + norm.variance_epsilon).sqrt()
        gate, up = (
            float(m.weight[5] @ scaled) for m in (layers[2].mlp.gate_proj, layers[2].mlp.up_proj)
        )
    part = next(part for part in result.parts if part.part == "head.1.3")
    assert (part.gate, part.up) == pytest.approx((gate, up), rel=1e-3, abs=1e-6)


def test_effects_are_the_derivative_of_the_activation(context: InstrumentContext) -> None:
    """Each branch's derivative by a finite difference of silu(gate) * up."""
    result = result_of(context)
    assert result.gate is not None
    assert result.up is not None

    def value(gate: float, up: float) -> float:
        return float(torch.nn.functional.silu(torch.tensor(gate, dtype=torch.float64)) * up)

    step = 1e-5
    by_gate = (value(result.gate + step, result.up) - value(result.gate - step, result.up)) / (
        2 * step
    )
    by_up = (value(result.gate, result.up + step) - value(result.gate, result.up - step)) / (
        2 * step
    )
    for part in result.parts:
        assert part.effect == pytest.approx(
            by_gate * (part.gate or 0) + by_up * (part.up or 0), rel=1e-3, abs=1e-5
        )


def test_a_named_direction_is_one_sum() -> None:
    direction = torch.linspace(-1, 1, 16)
    context = InstrumentContext(tiny_subject(directions={1: {"tilt": direction}}))
    result, subject = result_of(context, unit="resid.1@tilt"), context.require_subject()
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    real = float(subject.unit_activations(ids, [Unit.parse("resid.1@tilt")])[0, 0, result.position])
    assert total([*result.parts, result.rest], "up") == pytest.approx(real, abs=1e-4)
    assert result.gate is None
    assert result.activation == pytest.approx(real, abs=1e-4)


def test_the_strongest_token_is_taken_unless_one_is_named(context: InstrumentContext) -> None:
    subject, result = context.require_subject(), result_of(context)
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    values = subject.unit_activations(ids, [Unit.parse("mlp.2.5")])[0, 0].abs()
    assert result.position == 1 + int(values[1:].argmax())
    assert result_of(context, focus="cat").token == " cat"
    assert result.render().startswith(f"mlp.2.5 is {result.activation:+.3g} at ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"unit": "head.1.0"}, "ask for a neuron"),
        ({"unit": "mlp.9.0"}, "layers 0 to 2"),
        ({"focus": "bird"}, "copy it exactly"),
        ({"text": ""}, "text: "),
    ],
)
def test_invalid_arguments_of_upstream_are_refused_with_a_hint(
    context: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        result_of(context, **arguments)


@pytest.mark.parametrize("family", NORMED)
def test_a_family_that_normalises_its_writes_says_so(family: str) -> None:
    with pytest.raises(ArgumentError, match="normalises its writes"):
        result_of(InstrumentContext(tiny_subject(family)))
