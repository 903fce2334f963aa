"""One step: Adam, decoder rows of unit norm, and a count of silence for each latent.

1. Gradients (`gradients`); their common length is cut to 1.
2. Of each decoder row's gradient only the part across the row is kept, as the row's length is not free.
3. Adam, whose rate rises over the first twentieth of the steps and falls over the last fifth.
4. Decoder rows are brought back to unit length.
5. Tokens since a latent was last active are counted; beyond `TrainSettings.silence` it is dead.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .gradients import StepLoss, gradients
from .parameters import Parameters
from .settings import TrainSettings

BETAS, EPSILON = (0.9, 0.999), 6.25e-10
"""As Gao et al. have them. The epsilon is far below the usual, as gradients of rare latents are small."""
RISE, FALL = 1 / 20, 1 / 5


class Optimiser:
    """The state of a training between two steps.

    Attributes:
        step: steps done.
        silent: tokens since each latent was active.
    """

    def __init__(self, settings: TrainSettings, parameters: Parameters, variance: float) -> None:
        self.settings, self.parameters, self.variance = settings, parameters, variance
        self.step = 0
        self.silent = torch.zeros(settings.latents, dtype=torch.long, device=self._device)
        self._adam = torch.optim.Adam(
            list(parameters.named().values()), betas=BETAS, eps=EPSILON, fused=True
        )

    @property
    def dead(self) -> Tensor:
        """Latents that have not been active for long."""
        return self.silent >= self.settings.silence

    @property
    def _device(self) -> torch.device:
        return self.parameters.encoder.device

    def take(
        self, inputs: Float[Tensor, "row d_in"], targets: Float[Tensor, "row d_out"] | None
    ) -> StepLoss:
        """Do a step on scaled vectors; targets are None for an autoencoder."""
        grown, loss = gradients(
            self.parameters,
            inputs,
            targets,
            k=self.settings.k,
            variance=self.variance,
            dead=self.dead,
            auxiliary=self.settings.auxiliary,
        )
        decoder = self.parameters.decoder
        grown.decoder -= (grown.decoder * decoder).sum(dim=1, keepdim=True) * decoder  # 2.
        self._descend(grown)
        decoder /= decoder.norm(dim=1, keepdim=True)  # 4.
        self.silent += len(inputs)  # 5.
        self.silent[loss.fired] = 0
        self.step += 1
        return loss

    def _descend(self, grown: Parameters) -> None:
        length = torch.stack([g.norm() for g in grown.named().values()]).norm()
        factor = 1 / length.clamp_min(1.0)
        pairs = zip(self.parameters.named().values(), grown.named().values(), strict=True)
        for tensor, gradient in pairs:
            tensor.grad = gradient * factor
        for group in self._adam.param_groups:
            group["lr"] = self.settings.base_rate * share_of_rate(self.step, self.settings.steps)
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on."""
        tensors = dict(self.parameters.named()) | {"silent": self.silent}
        for name, parameter in self.parameters.named().items():
            for key, value in self._adam.state.get(parameter, {}).items():
                tensors[f"adam.{name}.{key}"] = value
        return tensors

    def restore(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` gave after so many steps."""
        self.step = step
        self.silent.copy_(tensors["silent"])
        for name, parameter in self.parameters.named().items():
            parameter.copy_(tensors[name])
            prefix = f"adam.{name}."
            own: dict[str, Any] = {
                key.removeprefix(prefix): value.clone().to(self._device)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
            self._adam.state[parameter] = own


def share_of_rate(step: int, steps: int) -> float:
    """By what the rate is multiplied in a step, counted from 0."""
    rising = (step + 1) / max(steps * RISE, 1)
    falling = (steps - step) / max(steps * FALL, 1)
    return min(rising, falling, 1.0)
