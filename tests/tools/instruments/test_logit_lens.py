"""Logit lens against the subject's own last step."""

from __future__ import annotations

import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.logit_lens import LogitLens
from tests.support.tiny import tiny_subject


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_it_is_the_norms_scale_and_the_unembedding_of_what_the_neuron_adds(model_type: str) -> None:
    subject = tiny_subject(model_type)
    lens = call("logit_lens", {"unit": "mlp.2.7", "k": 100}, InstrumentContext(subject))
    assert isinstance(lens, LogitLens)
    model = subject.model
    with torch.no_grad():
        added = torch.zeros(1, 1, subject.shape.n_neurons)  # pyright: ignore
        added[0, 0, 7] = 1
        layer = (
            model.transformer.h[2].mlp.c_proj
            if model_type == "gpt2"
            else model.model.layers[2].mlp.down_proj
        )
        write = layer(added) - layer(torch.zeros_like(added))  # without its bias
        if model_type == "gemma2":
            write = write * (1 + model.model.layers[2].post_feedforward_layernorm.weight)
        if model_type == "gpt2":
            scaled = (write - write.mean()) * model.transformer.ln_f.weight
        else:
            scaled = write * (model.model.norm.weight + (1 if model_type == "gemma2" else 0))
        expected = model.lm_head(scaled)[0, 0]
        expected = expected - expected.mean()
    for side in (lens.promoted, lens.suppressed):
        torch.testing.assert_close(
            torch.tensor(side.logits), expected[side.ids], rtol=1e-4, atol=1e-5
        )
    assert lens.promoted.logits == sorted(lens.promoted.logits, reverse=True)
    printable = [i for i, text in enumerate(subject.token_strings()) if text]
    assert lens.promoted.ids[0] == max(printable, key=lambda i: float(expected[i]))
    assert lens.suppressed.ids[0] == min(printable, key=lambda i: float(expected[i]))
    assert lens.spread == pytest.approx(float(expected.std(correction=0)), rel=1e-4)


def test_the_negative_side_promotes_what_the_positive_one_suppresses() -> None:
    context = InstrumentContext(tiny_subject())
    plus, minus = (
        call("logit_lens", {"unit": f"mlp.1.3{side}", "k": 5}, context).to_json() for side in "+-"
    )
    assert plus["promoted"]["ids"] == minus["suppressed"]["ids"]
    assert plus["promoted"]["logits"] == [-x for x in minus["suppressed"]["logits"]]


def test_heads_are_refused_with_what_to_ask_instead() -> None:
    with pytest.raises(ArgumentError, match="give a neuron or direction"):
        call("logit_lens", {"unit": "head.1.2"}, InstrumentContext(tiny_subject()))


def test_the_rendering_is_short_and_quotes_what_it_lists() -> None:
    text = call(
        "logit_lens", {"unit": "mlp.2.7", "k": 3}, InstrumentContext(tiny_subject())
    ).render()
    assert text.count('" +') == 3
    assert text.count('" -') == 3
    assert len(text.splitlines()) == 3
