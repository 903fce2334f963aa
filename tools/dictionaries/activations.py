"""What makes a latent's activation of its pre-activation.

    Relu        max(h, 0)
    TopKRelu    max(h, 0) for the k largest of a token, 0 for the others
    GroupMax    max(h, 0) for the largest of each of k groups of latents, 0 for the others
    JumpRelu    max(h, 0) where h is above the latent's threshold, else 0
    Gated       max(magnitude, 0) where the gate is above 0; h is the gate

Rajamanoharan et al., "Jumping Ahead" (2024) for JumpReLU and "Improving Dictionary Learning with Gated
Sparse Autoencoders" (2024); Gao et al., "Scaling and Evaluating Sparse Autoencoders" (2024) for top k.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Relu:
    """The positive part."""


@dataclass(frozen=True)
class TopKRelu:
    """The positive part of the k largest of each token."""

    k: int


@dataclass(frozen=True)
class GroupMax:
    """The positive part of the largest in each of k equal runs of neighbouring latents."""

    k: int


@dataclass(frozen=True)
class JumpRelu:
    """The pre-activation where it is positive and exceeds its latent's threshold."""

    threshold: Float[Tensor, " latent"]


@dataclass(frozen=True)
class Gated:
    """A gate that opens and a magnitude; both share the encoder's directions.

    Attributes:
        log_scale: the magnitude's encoder is the gate's times exp of this.
    """

    gate_bias: Float[Tensor, " latent"]
    magnitude_bias: Float[Tensor, " latent"]
    log_scale: Float[Tensor, " latent"]


Activation = Relu | TopKRelu | GroupMax | JumpRelu | Gated
