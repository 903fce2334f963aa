"""A dictionary of a subject's vectors: a sparse autoencoder or a transcoder.

1. Normalise the vector at the place that the dictionary reads, and subtract the decoder's bias where
   the dictionary does so.
2. Pre-activations are its products with the encoder's columns, plus a bias; the activation function
   makes most of them 0.
3. The reconstruction is the sum of the decoder's rows, each times its latent's activation, plus a
   bias. An autoencoder reconstructs the vector that it read, so that the normalisation is undone; a
   transcoder reconstructs what the MLP makes of it, adds the skip connection of the input as it
   came, and undoes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..subject.address import Site
from ..subject.latents import Scale
from .activations import Activation, Gated, GroupMax, JumpRelu, TopKRelu

Normalisation = Literal["none", "layer_norm", "constant_norm"]
InputForm = Literal["plain", "before_norm_weight", "centred"]
_EPSILON = 1e-5


@dataclass(frozen=True)
class Dictionary:
    """A dictionary, with its tensors in float32.

    Attributes:
        name: as in `sae.NAME.4512`.
        reads: where its input is; `writes`: where its reconstruction belongs (the same place for an
            autoencoder).
        encoder: one column for each latent; for `Gated`, of the gate.
        encoder_bias: zeros for `Gated`, which has its own.
        decoder: one row for each latent.
        subtracts_bias: whether the decoder's bias is subtracted from the input.
        skip: what the input adds to the reconstruction, for skip transcoders.
        later_decoders: of a cross-layer transcoder, what its latents add to the outputs of the layers
            after its own, in their order; `decode` is of its own layer alone.
        input_form: how the place that it reads is given to it, until `fit` folds this into the
            encoder: "plain"; "before_norm_weight", the MLP's input before the norm's weight and bias;
            or "centred", minus its mean over the stream's coordinates.
        of_modules: whether `mlp_out` and `attn_out` are the modules' own outputs, which Gemma 2 and 3
            normalise before they add them to the stream; elsewhere both are the same.
        model: the name of the model that its file states; "" if it states none.
        sha256: of the files that it was read from; "" if it was made here.
        source: folder, file or hub name that it was read from.
        notes: what its files say that was taken on trust, a sentence each.
    """

    name: str
    reads: Site
    writes: Site
    encoder: Float[Tensor, "d_in latent"]
    encoder_bias: Float[Tensor, " latent"]
    decoder: Float[Tensor, "latent d_out"]
    decoder_bias: Float[Tensor, " d_out"]
    activation: Activation
    subtracts_bias: bool = True
    normalisation: Normalisation = "none"
    skip: Float[Tensor, "d_out d_in"] | None = None
    later_decoders: Float[Tensor, "later latent d_out"] | None = None
    input_form: InputForm = "plain"
    of_modules: bool = False
    model: str = ""
    sha256: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return self.encoder.shape[1]

    @property
    def is_transcoder(self) -> bool:
        """Whether it reconstructs another vector than it reads."""
        return self.reads != self.writes

    @cached_property
    def is_pointwise(self) -> bool:
        """Whether each latent is a function of its own pre-activation, and not of the others'."""
        return not isinstance(self.activation, (TopKRelu, GroupMax))

    def encode(
        self, vectors: Float[Tensor, "*rows d_in"], latents: slice | Sequence[int] | None = None
    ) -> Float[Tensor, "*rows latent"]:
        """Activations of all latents, or of some of them."""
        centred = self._centred(self.normalised(vectors)[0])
        if latents is not None and self.is_pointwise:
            return self._pointwise(centred, latents)
        all_latents = (
            self._pointwise(centred, slice(None)) if self.is_pointwise else self._largest(centred)
        )
        return all_latents if latents is None else all_latents[..., latents]

    def decode(
        self,
        activations: Float[Tensor, "*rows latent"],
        vectors: Float[Tensor, "*rows d_in"],
    ) -> Float[Tensor, "*rows d_out"]:
        """The reconstruction.

        Args:
            vectors: the input, whose scale an autoencoder puts back and a skip connection adds.
        """
        decoded = activations @ self.decoder + self.decoder_bias
        if self.skip is not None:
            decoded = decoded + vectors.float() @ self.skip.T
        scale = None if self.is_transcoder else self.normalised(vectors)[1]
        return decoded if scale is None else decoded * scale.factor + scale.shift

    def reconstruct(self, vectors: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows d_out"]:
        """`decode` of `encode`."""
        return self.decode(self.encode(vectors), vectors)

    def normalised(
        self, vectors: Float[Tensor, "*rows d_in"]
    ) -> tuple[Float[Tensor, "*rows d_in"], Scale | None]:
        """The input as the encoder sees it, and what undoes this."""
        values = vectors.float()
        if self.normalisation == "none":
            return values, None
        if self.normalisation == "constant_norm":
            factor = values.norm(dim=-1, keepdim=True) / values.shape[-1] ** 0.5
            return values / factor, Scale(factor, torch.zeros_like(factor))
        mean = values.mean(dim=-1, keepdim=True)
        deviation = values.std(dim=-1, keepdim=True)  # of a sample, as SAELens has it
        return (values - mean) / (deviation + _EPSILON), Scale(deviation, mean)

    def constant(self, latent: int) -> Float[Tensor, ""]:
        """What a latent's pre-activation has in addition to the normalised input's product."""
        column = self.encoder[:, latent]
        subtracted = column @ self.decoder_bias if self.subtracts_bias else 0.0
        return self._bias[latent] - subtracted

    def activate(
        self, pre: Float[Tensor, "*rows latent"], latents: slice | Sequence[int]
    ) -> Float[Tensor, "*rows latent"]:
        """Activations from pre-activations (of the gate), as if each latent were among the largest."""
        activation = self.activation
        if isinstance(activation, Gated):
            product = pre - activation.gate_bias[latents]
            magnitude = product * activation.log_scale[latents].exp()
            return (pre > 0) * torch.relu(magnitude + activation.magnitude_bias[latents])
        if isinstance(activation, JumpRelu):
            return torch.relu(pre) * (pre > activation.threshold[latents])
        return torch.relu(pre)

    def to(self, device: torch.device) -> Self:
        """The same dictionary on a device."""

        def moved(value: object) -> object:
            return value.to(device) if isinstance(value, Tensor) else value

        own = {field.name: moved(getattr(self, field.name)) for field in fields(self)}
        inner = {f.name: moved(getattr(self.activation, f.name)) for f in fields(self.activation)}
        return replace(self, **own | {"activation": replace(self.activation, **inner)})

    def _centred(self, values: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows d_in"]:
        return values - self.decoder_bias if self.subtracts_bias else values

    def _pointwise(
        self, centred: Float[Tensor, "*rows d_in"], latents: slice | Sequence[int]
    ) -> Float[Tensor, "*rows latent"]:
        return self.activate(centred @ self.encoder[:, latents] + self._bias[latents], latents)

    @property
    def _bias(self) -> Float[Tensor, " latent"]:
        activation = self.activation
        return activation.gate_bias if isinstance(activation, Gated) else self.encoder_bias

    def _largest(self, centred: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows latent"]:
        activation = cast("TopKRelu | GroupMax", self.activation)
        positive = torch.relu(centred @ self.encoder + self.encoder_bias)
        if isinstance(activation, GroupMax):
            groups = positive.unflatten(-1, (activation.k, -1))
            best = groups.max(dim=-1, keepdim=True)
            return torch.zeros_like(groups).scatter(-1, best.indices, best.values).flatten(-2)
        top = positive.topk(min(activation.k, positive.shape[-1]), dim=-1)
        return torch.zeros_like(positive).scatter(-1, top.indices, top.values)
