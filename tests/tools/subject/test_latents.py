"""Latents as units: read and edited as a loop over hooks does by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.subject import Intervention, Site, Subject, Unit
from hubel.tools.subject.architectures import matrix
from hubel.tools.subject.attach_latents import attach_latents
from tests.support.dictionaries import random_dictionary
from tests.support.tiny import tiny_subject

TEXT = "Monday the cat said very"
PLACES = {
    "residual": (Site("stream", 1), None),
    "embedding": (Site("stream", -1), None),
    "transcoder": (Site("mlp_in", 1), Site("mlp_out", 1)),
    "mlp output": (Site("mlp_out", 0), None),
    "attention output": (Site("attn_out", 1), None),
    "heads": (Site("z", 1), None),
    "neurons": (Site("mlp", 1), None),
}
FAMILIES = ("llama", "gpt2", "gemma2")


def with_dictionary(family: str, reads: Site, writes: Site | None) -> tuple[Subject, Dictionary]:
    subject = tiny_subject(family)
    dictionary = random_dictionary(subject, "d", reads, writes, threshold=0.1)
    attach_latents(subject, dictionary)
    return subject, dictionary


def by_hand(subject: Subject, ids: Tensor, place: Site, change: Callable[[Tensor], Any]) -> Any:
    """Hook the module at a place with torch alone; `change` gets its value and may return another."""
    layer = subject.parts.layers[max(place.layer, 0)]
    inputs = {"mlp": layer.mlp_down, "z": layer.attention_out, "mlp_in": layer.mlp}
    if place.layer < 0:
        inputs["stream"] = layer.whole
    if place.kind in inputs:
        module: Any = inputs[place.kind]
        return module.register_forward_pre_hook(
            lambda _m, args, kwargs: (
                None
                if (new := change(args[0] if args else next(iter(kwargs.values())))) is None
                else ((new, *args[1:]), kwargs)
            ),
            with_kwargs=True,
        )
    outputs = {"stream": layer.whole, "attn_out": layer.attention_write, "mlp_out": layer.mlp_write}
    module = outputs[place.kind]

    def after(_m: Any, _args: Any, output: Any) -> Any:
        new = change(output if isinstance(output, Tensor) else output[0])
        return new if new is None or isinstance(output, Tensor) else (new, *output[1:])

    return module.register_forward_hook(after)


def value_of(dictionary: Dictionary, vector: Tensor, latent: int) -> tuple[float, float]:
    """A latent's activation and the input's scale, from the definitions, one number at a time."""
    scale = float(vector.norm()) / len(vector) ** 0.5
    x = vector / scale
    if dictionary.subtracts_bias:
        x = x - dictionary.decoder_bias
    h = float(x @ dictionary.encoder[:, latent] + dictionary.encoder_bias[latent])
    return (h if h > 0.1 else 0.0), scale


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", PLACES)
def test_a_latent_is_read_and_edited_as_by_hand(family: str, kind: str) -> None:
    reads, writes = PLACES[kind]
    subject, dictionary = with_dictionary(family, reads, writes)
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    site = Site.of_dictionary("d")
    read = subject.capture(ids, [site]).activations[site][0]
    latent = int((read[1:] > 0).float().mean(0).argmax())
    position = int(read[1:, latent].argmax()) + 1
    unit, added = Unit("sae", -1, latent, "d"), {}

    def remember(vector: Tensor) -> None:
        old, scale = value_of(dictionary, vector[0, position], latent)
        assert old == pytest.approx(float(read[position, latent]), abs=1e-5)
        back = scale if writes is None else 1.0  # a transcoder undoes no normalisation
        added["vector"] = (2.5 - old) * back * dictionary.decoder[latent]

    def add(vector: Tensor) -> Tensor:
        changed = vector.clone()
        changed[0, position] += added["vector"]
        return changed

    handles = [
        by_hand(subject, ids, reads, remember),
        by_hand(subject, ids, writes or reads, add),
    ]
    with torch.inference_mode():
        expected = subject.model(ids).logits
    for handle in handles:
        handle.remove()
    changes = [[Intervention(unit, "set", positions=(position,), value=2.5)]]
    capture = subject.capture(ids, [site], interventions=changes, logits=True)
    assert capture.logits is not None
    torch.testing.assert_close(capture.logits, expected, atol=1e-5, rtol=1e-4)
    plain = subject.capture(ids, [], logits=True).logits
    assert plain is not None
    assert not torch.allclose(plain, capture.logits, atol=1e-4)


def test_values_from_other_text_and_sides() -> None:
    subject, _ = with_dictionary("llama", Site("stream", 1), None)
    ids = torch.tensor([subject.tokenize(TEXT).ids])
    other = tuple(subject.tokenize("red and blue city of")[0])
    site, unit = Site.of_dictionary("d"), Unit("sae", -1, 3, "d")
    source = subject.capture(torch.tensor([list(other)]), [site]).activations[site][0, :, 3]

    def logits(*changes: Intervention) -> Tensor:
        found = subject.capture(ids, [], interventions=[list(changes)], logits=True).logits
        assert found is not None
        return found

    mean = float(source[1:].mean())
    torch.testing.assert_close(
        logits(Intervention(unit, "mean", source=other)),
        logits(Intervention(unit, "set", value=mean)),
        atol=1e-5,
        rtol=1e-4,
    )
    negative = Intervention(Unit("sae", -1, 3, "d", "-"), "set", value=9.0)
    torch.testing.assert_close(logits(negative), logits())  # a latent is never negative


@pytest.mark.parametrize(
    ("kind", "output"), [("residual", None), ("neurons", "mlp_down"), ("heads", "attention_out")]
)
def test_a_latent_writes_its_decoder_row(kind: str, output: str | None) -> None:
    reads, writes = PLACES[kind]
    subject, dictionary = with_dictionary("llama", reads, writes)
    expected = dictionary.decoder[5]
    if output is not None:
        expected = matrix(getattr(subject.parts.layers[reads.layer], output)) @ expected
    torch.testing.assert_close(subject.write_direction(Unit("sae", -1, 5, "d")), expected)
