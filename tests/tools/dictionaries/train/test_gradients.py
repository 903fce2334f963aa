"""The closed form of the gradients against automatic differentiation of the plain formulas."""

from __future__ import annotations

import pytest
import torch

from hubel.tools.dictionaries.train.gradients import gradients
from hubel.tools.dictionaries.train.parameters import Parameters

ROWS, D_IN, LATENTS, K = 24, 6, 20, 3


def _parameters(d_out: int) -> Parameters:
    torch.manual_seed(1)
    return Parameters(
        torch.randn(LATENTS, D_IN).double(),
        torch.randn(LATENTS).double(),
        torch.randn(LATENTS, d_out).double(),
        torch.randn(d_out).double(),
    )


def _plain_loss(
    p: Parameters,
    inputs: torch.Tensor,
    targets: torch.Tensor | None,
    variance: float,
    dead: torch.Tensor,
    weight: float,
) -> torch.Tensor:
    """The loss by dense matrices, as Gao et al. state it."""
    centred = inputs - p.decoder_bias if targets is None else inputs
    pre = centred @ p.encoder.T + p.encoder_bias
    kth = pre.sort(dim=1, descending=True).values[:, K - 1 : K]
    z = torch.relu(pre) * (pre >= kth)
    error = z @ p.decoder + p.decoder_bias - (inputs if targets is None else targets)
    loss = error.square().sum(dim=1).mean() / variance
    n_auxiliary = min(int(dead.sum()), p.decoder.shape[1] // 2)
    if weight and n_auxiliary:
        of_dead = pre.masked_fill(~dead, -torch.inf)
        kth = of_dead.sort(dim=1, descending=True).values[:, n_auxiliary - 1 : n_auxiliary]
        z_dead = torch.relu(of_dead) * (of_dead >= kth)
        rest = error.detach()
        revived = (z_dead @ p.decoder + rest).square().sum() / rest.square().sum()
        loss = loss + weight * revived
    return loss


@pytest.mark.parametrize("d_out", [None, 5])
@pytest.mark.parametrize("n_dead", [0, 2, 9])
def test_gradients_agree_with_automatic_differentiation(d_out: int | None, n_dead: int) -> None:
    p = _parameters(d_out or D_IN)
    inputs = torch.randn(ROWS, D_IN).double()
    targets = None if d_out is None else torch.randn(ROWS, d_out).double()
    dead = torch.arange(LATENTS) < n_dead
    grown, loss = gradients(p, inputs, targets, k=K, variance=2.5, dead=dead, auxiliary=0.3)
    tensors = [tensor.requires_grad_() for tensor in p.named().values()]
    plain = _plain_loss(p, inputs, targets, 2.5, dead, 0.3)
    expected = torch.autograd.grad(plain, tensors)
    for name, gradient in zip(p.named(), expected, strict=True):
        assert torch.allclose(grown.named()[name], gradient, rtol=1e-9, atol=1e-12), name
    assert loss.unexplained + 0.3 * loss.auxiliary == pytest.approx(float(plain.detach()), rel=1e-9)


def test_fired_latents_are_those_with_a_positive_activation() -> None:
    p = _parameters(D_IN)
    inputs = torch.randn(ROWS, D_IN).double()
    dead = torch.zeros(LATENTS, dtype=torch.bool)
    _, loss = gradients(p, inputs, None, k=K, variance=1.0, dead=dead, auxiliary=0.0)
    active = set()
    for row in inputs:
        pre = p.encoder @ (row - p.decoder_bias) + p.encoder_bias
        active |= {int(latent) for latent in pre.argsort(descending=True)[:K] if pre[latent] > 0}
    assert set(loss.fired.nonzero()[:, 0].tolist()) == active
