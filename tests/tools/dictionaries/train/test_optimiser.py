"""Steps of a training: one against a naive loop, and many on vectors made of known features."""

from __future__ import annotations

import math

import pytest
import torch

from hubel.tools.dictionaries.train.gradients import gradients
from hubel.tools.dictionaries.train.optimiser import BETAS, EPSILON, Optimiser, share_of_rate
from hubel.tools.dictionaries.train.parameters import initial_parameters, scale_of
from hubel.tools.dictionaries.train.settings import TrainSettings
from hubel.tools.subject.address import Site

PLACE = Site("stream", 0)


def _settings(**changes: object) -> TrainSettings:
    given = {"latents": 12, "k": 2, "tokens": 10 * 16, "batch": 16, "rate": 0.01} | changes
    return TrainSettings(PLACE, PLACE, **given)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def test_steps_agree_with_a_naive_adam() -> None:
    torch.manual_seed(0)
    settings = _settings()
    batches = [torch.randn(16, 5) for _ in range(3)]
    begin = initial_parameters(settings, batches[0], batches[0])
    naive = {name: tensor.clone() for name, tensor in begin.named().items()}
    optimiser = Optimiser(settings, begin, variance=4.0)
    moments = {name: (torch.zeros_like(t), torch.zeros_like(t)) for name, t in naive.items()}
    for step, batch in enumerate(batches):
        grown, _ = gradients(
            type(begin)(**naive),
            batch,
            None,
            k=2,
            variance=4.0,
            dead=torch.zeros(12, dtype=torch.bool),
            auxiliary=0.0,
        )
        for row in range(12):  # the part along a decoder row is dropped
            direction = naive["decoder"][row]
            grown.decoder[row] -= (grown.decoder[row] @ direction) * direction
        length = math.sqrt(sum(float(g.square().sum()) for g in grown.named().values()))
        rate = 0.01 * share_of_rate(step, settings.steps)
        for name, gradient in grown.named().items():
            gradient = gradient / max(length, 1.0)
            first, second = moments[name]
            first = BETAS[0] * first + (1 - BETAS[0]) * gradient
            second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
            moments[name] = first, second
            first = first / (1 - BETAS[0] ** (step + 1))
            second = second / (1 - BETAS[1] ** (step + 1))
            naive[name] = naive[name] - rate * first / (second.sqrt() + EPSILON)
        naive["decoder"] = naive["decoder"] / naive["decoder"].norm(dim=1, keepdim=True)
        optimiser.take(batch, None)
    for name, tensor in optimiser.parameters.named().items():
        assert torch.allclose(tensor, naive[name], atol=1e-5), name


def test_rate_rises_and_falls() -> None:
    shares = [share_of_rate(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(1 / 5)
    assert shares[4:80] == [1.0] * 76
    assert shares[99] == pytest.approx(1 / 20)


def _known_features() -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(48, 24, generator=generator)
    return features / features.norm(dim=1, keepdim=True), generator


@pytest.mark.parametrize("latents", [48, 64])
@torch.no_grad()
def test_known_features_are_recovered(latents: int) -> None:
    features, generator = _known_features()
    shift = torch.randn(24, generator=generator)

    def draw(rows: int) -> torch.Tensor:
        active = torch.rand(rows, 48, generator=generator) < 0.06
        size = torch.rand(rows, 48, generator=generator) + 0.5
        return (active * size) @ features + shift

    settings = _settings(latents=latents, k=3, batch=256, tokens=400 * 256)
    sample = draw(2048)
    scale = scale_of(sample)
    sample = sample / scale
    variance = float((sample - sample.mean(dim=0)).square().sum(dim=1).mean())
    optimiser = Optimiser(settings, initial_parameters(settings, sample, sample), variance)
    before = (features @ optimiser.parameters.decoder.T).amax(dim=1).mean()
    for _ in range(settings.steps):
        optimiser.take(draw(256) / scale, None)
    after = (features @ optimiser.parameters.decoder.T).amax(dim=1)
    assert before < 0.6
    assert after.mean() > 0.95
    assert (after > 0.9).float().mean() > 0.8


@torch.no_grad()
def test_only_the_auxiliary_loss_revives_dead_latents() -> None:
    features, generator = _known_features()
    active = (torch.rand(100, 128, 48, generator=generator) < 0.06).float()
    batches = active @ features

    def dead_at_the_end(auxiliary: float) -> int:
        settings = _settings(
            latents=48, k=3, batch=128, tokens=100 * 128, auxiliary=auxiliary, dead_after=10 * 128
        )
        parameters = initial_parameters(settings, batches[0], batches[0])
        parameters.encoder[:40] /= 100  # often above 0, but never among the largest
        parameters.encoder_bias[40:] = 2.0
        optimiser = Optimiser(settings, parameters, variance=1.0)
        for batch in batches:
            optimiser.take(batch, None)
        return int(optimiser.dead.sum())

    assert dead_at_the_end(0.0) > 30
    assert dead_at_the_end(1 / 32) < 15
