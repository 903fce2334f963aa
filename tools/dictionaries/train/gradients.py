"""Loss and gradients of one step of a TopK dictionary, in closed form.

Vectors x (input) and y (target; y = x for an autoencoder), encoder rows E with bias a, decoder rows D
with bias b:

1. c = x - b for an autoencoder, x for a transcoder; h = E c + a.
2. z = max(h, 0) for the k largest h of each vector, 0 for the others; reconstruction D^T z + b.
3. Error r = reconstruction - y. Loss: mean |r|^2 / v, with v the mean squared distance of targets
   from their mean, so that it is the share of variance not explained.
4. Dead latents (AuxK): the largest h of the dead ones, as many as half the dimensions, reconstruct -r
   (taken as constant): loss |D_dead^T z_dead + r|^2 / |r|^2, times a weight.
5. Gradients. Only k latents of each vector have any, so a batch's z is a sparse matrix, and the
   products with it cost k / latents of dense ones:
       dD = z^T dr       dz = D dr where z > 0       dE = dz^T c       da = sum dz
       db = sum dr, minus E^T sum dz for an autoencoder

Gao et al., "Scaling and Evaluating Sparse Autoencoders" (2024), 2.3 and appendix A. Automatic
differentiation would multiply with the zeros as well and take twice as long.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .parameters import Parameters


class StepLoss(NamedTuple):
    """What a step measured.

    Attributes:
        unexplained: the share of variance that is not explained.
        auxiliary: the share of the error that dead latents do not explain; 0 where none is dead.
        fired: latents that were active on any of the vectors.
    """

    unexplained: float
    auxiliary: float
    fired: Bool[Tensor, " latent"]


class _Active(NamedTuple):
    """Some latents of each vector, with their activations."""

    latents: Int[Tensor, "row k"]
    values: Float[Tensor, "row k"]


def gradients(
    parameters: Parameters,
    inputs: Float[Tensor, "row d_in"],
    targets: Float[Tensor, "row d_out"] | None,
    *,
    k: int,
    variance: float,
    dead: Bool[Tensor, " latent"],
    auxiliary: float,
) -> tuple[Parameters, StepLoss]:
    """The gradients, in the form of parameters, and the loss.

    Args:
        targets: None for an autoencoder.
        variance: of the targets, as step 3 has it.
        dead: the latents that the auxiliary loss revives; its weight is `auxiliary`.
    """
    p, n = parameters, len(inputs)
    is_autoencoder = targets is None
    centred = inputs - p.decoder_bias if is_autoencoder else inputs  # 1.
    pre = torch.addmm(p.encoder_bias, centred, p.encoder.T)
    active = _largest(pre, k)  # 2.
    error = _decode(active, p.decoder) + p.decoder_bias - (inputs if is_autoencoder else targets)
    unexplained = error.square().sum() / (n * variance)  # 3.
    slope = error * (2 / (n * variance))  # dr
    grown = _grow(p, active, slope, centred)  # 5.
    grown.decoder_bias += slope.sum(dim=0)
    share = 0.0
    if auxiliary and bool(dead.any()):  # 4.
        share = _add_auxiliary(grown, p, pre, error, centred, dead, auxiliary)
    if is_autoencoder:
        grown.decoder_bias -= grown.encoder_bias @ p.encoder
    fired = torch.zeros_like(dead)
    fired[active.latents[active.values > 0]] = True
    return grown, StepLoss(float(unexplained), share, fired)


def _largest(pre: Float[Tensor, "row latent"], k: int) -> _Active:
    top = pre.topk(k, dim=1)
    return _Active(top.indices, top.values.relu())


def _decode(active: _Active, decoder: Float[Tensor, "latent d_out"]) -> Float[Tensor, "row d_out"]:
    return torch.nn.functional.embedding_bag(
        active.latents, decoder, per_sample_weights=active.values, mode="sum"
    )


def _grow(
    p: Parameters,
    active: _Active,
    slope: Float[Tensor, "row d_out"],
    centred: Float[Tensor, "row d_in"],
) -> Parameters:
    """Gradients through the activations: of all but the decoder's bias, which is left at 0."""
    # All products at once and k of them picked is faster than gathering k decoder rows a vector.
    values = (slope @ p.decoder.T).gather(1, active.latents)
    through = active._replace(values=values * (active.values > 0))
    bias = torch.zeros_like(p.encoder_bias)
    bias.index_add_(0, through.latents.reshape(-1), through.values.reshape(-1))
    return Parameters(
        encoder=_transposed_product(through, centred, len(p.encoder)),
        encoder_bias=bias,
        decoder=_transposed_product(active, slope, len(p.decoder)),
        decoder_bias=torch.zeros_like(p.decoder_bias),
    )


def _transposed_product(
    active: _Active, vectors: Float[Tensor, "row width"], n_latents: int
) -> Float[Tensor, "latent width"]:
    """The activations' (row, latent) matrix, transposed, times the vectors."""
    n, k = active.latents.shape
    rows = torch.arange(n, device=vectors.device).repeat_interleave(k)
    places = torch.stack([active.latents.reshape(-1), rows])
    matrix = torch.sparse_coo_tensor(
        places, active.values.reshape(-1), (n_latents, n), check_invariants=False
    )
    return torch.sparse.mm(matrix, vectors)


def _add_auxiliary(
    grown: Parameters,
    p: Parameters,
    pre: Float[Tensor, "row latent"],
    error: Float[Tensor, "row d_out"],
    centred: Float[Tensor, "row d_in"],
    dead: Bool[Tensor, " latent"],
    weight: float,
) -> float:
    """Add the gradients of the auxiliary loss; returns the loss, without its weight."""
    latents = dead.nonzero()[:, 0]
    decoder = p.decoder[latents]
    top = pre[:, latents].topk(min(len(latents), max(error.shape[1] // 2, 1)), dim=1)
    z = torch.zeros_like(pre[:, : len(latents)]).scatter(1, top.indices, top.values.relu())
    rest = z @ decoder + error
    size = error.square().sum().clamp_min(1e-30)
    slope = rest * (2 * weight / size)
    through = (slope @ decoder.T) * (z > 0)
    grown.decoder[latents] += z.T @ slope
    grown.encoder[latents] += through.T @ centred
    grown.encoder_bias[latents] += through.sum(dim=0)
    return float(rest.square().sum() / size)
