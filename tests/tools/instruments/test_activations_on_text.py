"""Activations on new text against a plain loop over the model, one text at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.activations_on_text import OnText
from tests.support.tiny import tiny_subject

TEXTS = [
    "Monday the cat said 1999",
    "x cat",
    "a very blue city in the river bank",
    "naïve\n日本 «»",
]
UNITS = ["mlp.1.5", "mlp.2.7-", "mlp.2.7+", "head.0.3"]


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


def on_text(context: InstrumentContext, **arguments: Any) -> OnText:
    result = call("activations.on_text", {"texts": TEXTS, "units": UNITS, **arguments}, context)
    assert isinstance(result, OnText)
    return result


def naive(context: InstrumentContext, text: str, layer: int, module: str) -> np.ndarray:
    """What enters a module for one text alone, seen by a hook of this test."""
    subject, seen = context.require_subject(), []
    target = subject.model.model.layers[layer].get_submodule(module)
    handle = target.register_forward_pre_hook(lambda _module, args: seen.append(args[0][0]))
    with torch.no_grad():
        subject.model(torch.tensor([subject.tokenize(text).ids]))
    handle.remove()
    return seen[0].numpy()


def test_activations_are_those_of_each_text_alone(context: InstrumentContext) -> None:
    subject = context.require_subject()
    for text, answer in zip(TEXTS, on_text(context).texts, strict=True):
        neuron = naive(context, text, 1, "mlp.down_proj")[:, 5]
        np.testing.assert_allclose(answer.activations["mlp.1.5"], neuron, rtol=1e-4, atol=1e-5)
        signal = naive(context, text, 2, "mlp.down_proj")[:, 7]
        np.testing.assert_allclose(
            answer.activations["mlp.2.7-"], np.maximum(-signal, 0), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            answer.activations["mlp.2.7+"], np.maximum(signal, 0), rtol=1e-4, atol=1e-5
        )
        z = naive(context, text, 0, "self_attn.o_proj")
        columns = slice(3 * subject.head_dim, 4 * subject.head_dim)
        output = (
            z[:, columns]
            @ subject.model.model.layers[0].self_attn.o_proj.weight[:, columns].numpy().T
        )
        norm = np.linalg.norm(output, axis=-1)
        np.testing.assert_allclose(answer.activations["head.0.3"], norm, rtol=1e-4, atol=1e-5)


def test_every_token_has_its_text_and_place(context: InstrumentContext) -> None:
    result = on_text(context)
    for text, answer in zip(TEXTS, result.texts, strict=True):
        assert answer.text == text
        assert len(answer.tokens) == len(answer.offsets) == len(answer.activations["mlp.1.5"])
        assert "".join(text[start:end] for start, end in answer.offsets[:3]).strip() in text
    assert result.texts[0].tokens[:3] == ["Monday", " the", " cat"]
    assert result.to_json()["texts"][0]["offsets"][0] == [0, 6]


def test_the_rendering_has_a_line_a_unit_and_text_and_leaves_the_first_token_out(
    context: InstrumentContext,
) -> None:
    result = on_text(context)
    lines = result.render().splitlines()
    assert len(lines) == len(UNITS) * (1 + len(TEXTS))
    counted = [
        v
        for text in result.texts
        for v in (text.activations["mlp.1.5"][1:] or text.activations["mlp.1.5"])
    ]
    assert lines[0].startswith(f"mlp.1.5: max {max(counted):.3g}, min {min(counted):.3g}")
    assert "«Monday»" not in lines[1]
    assert "9" in "".join(lines[1:5])  # the strongest token of a unit is marked with a 9
    assert "⏎" in lines[4]  # text is quoted: a line break of a text makes no line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"units": ["mlp.7.1"]}, "layers 0 to 2"),
        ({"units": []}, "units: "),
        ({"units": ["mlp.1.5"] * 65}, "units: "),
        ({"texts": [""]}, "texts.0: "),
        ({"texts": ["cat " * 300]}, "give 2 to 128"),
        ({"texts": "the cat"}, "texts: "),
    ],
)
def test_invalid_texts_and_units_are_argument_errors(
    context: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        on_text(context, **arguments)
