"""The Jacobian lens against finite differences and the model's own output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.representation.jacobian_lens import lens_logits, mean_jacobian
from hubel.tools.subject.address import Site
from hubel.tools.subject.architectures import first_tensor
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

IDS = torch.tensor([[17, 40, 93, 200, 31], [5, 61, 7, 120, 88]])


def last_stream(subject: Subject, layer: int, position: int, push: torch.Tensor) -> torch.Tensor:
    """The stream after the last layer when something is added after a layer at one position."""

    def add(_module: Any, _args: Any, output: Any) -> Any:
        value = first_tensor(output).clone()
        value[:, position] += push
        return value if isinstance(output, torch.Tensor) else (value, *output[1:])

    handle = subject.parts.layers[layer].whole.register_forward_hook(add)
    site = Site("stream", subject.shape.n_layers - 1)
    try:
        return subject.capture(IDS, [site]).activations[site]
    finally:
        handle.remove()


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_it_is_the_finite_difference_of_the_last_stream(model_type: str) -> None:
    subject = tiny_subject(model_type)
    subject.model.double()
    jacobian = mean_jacobian(subject, IDS)
    push = torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 5e-3  # norms compute in float32 whatever comes in
    for layer in (0, 1):
        slopes = [
            (
                last_stream(subject, layer, at, step * push)
                - last_stream(subject, layer, at, -step * push)
            ).sum(dim=1)
            / (2 * step)
            for at in range(1, IDS.shape[1])  # position 0 is a sink
        ]
        expected = torch.stack(slopes).mean(dim=(0, 1)).numpy()
        np.testing.assert_allclose(jacobian[layer] @ push.numpy(), expected, rtol=1e-2, atol=5e-3)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_after_the_last_layer_it_is_the_model_itself(model_type: str) -> None:
    subject = tiny_subject(model_type)
    jacobian = mean_jacobian(subject, IDS)
    np.testing.assert_array_equal(jacobian[-1], np.eye(16))
    site = Site("stream", 2)
    own = subject.capture(IDS, [site], logits=True)
    for matrix in (jacobian[-1], None):
        read = lens_logits(subject, own.activations[site], matrix)
        torch.testing.assert_close(read, own.logits, rtol=1e-5, atol=1e-5)


def test_the_subject_is_left_as_it_was() -> None:
    subject = tiny_subject()
    mean_jacobian(subject, IDS)
    assert not any(module._forward_hooks for module in subject.model.modules())
    assert not any(weight.requires_grad for weight in subject.model.parameters())
