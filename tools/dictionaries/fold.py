"""Moves what a dictionary expects of its input into its weights, so that it reads the plain place.

    before_norm_weight    it was trained on n, and the MLP's input is x = n w + b: n = (x - b) / w
    centred               it was trained on x - mean(x)

Both are linear, so that pre-activations, and with them latents, are the same. And `unit_rows`: latents
that are counted in multiples of their decoder row's norm.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .activations import Gated, JumpRelu
from .dictionary import Dictionary

_SMALLEST_NORM = 1e-8
"""A shorter decoder row is not divided by its norm."""


def fold_norm_weight(
    dictionary: Dictionary,
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
) -> Dictionary:
    """A dictionary of the MLP's input, from one of that input before its norm's weight and bias.

    Raises:
        UsageError: it normalises its input, or the norm has weights of 0.
    """
    _require_linear(dictionary)
    if not bool((weight != 0).all()):
        raise UsageError(
            f"the dictionary {dictionary.name!r} reads the MLP's input before the norm's weight, which "
            "is 0 in places, so that it does not follow from the input itself"
        )
    encoder = dictionary.encoder / weight[:, None]
    origin = bias / weight
    if dictionary.is_transcoder:
        folded = replace(dictionary, encoder=encoder, input_form="plain")
        folded = _shifted(folded, origin @ dictionary.encoder)
        if dictionary.skip is None:
            return folded
        moved = dictionary.decoder_bias - dictionary.skip @ origin
        return replace(folded, skip=dictionary.skip / weight, decoder_bias=moved)
    folded = replace(
        dictionary,
        encoder=encoder,
        decoder=dictionary.decoder * weight,
        decoder_bias=dictionary.decoder_bias * weight + bias,
        input_form="plain",
    )
    return folded if dictionary.subtracts_bias else _shifted(folded, origin @ dictionary.encoder)


def fold_centring(dictionary: Dictionary) -> Dictionary:
    """A dictionary of the stream, from one of the stream minus its mean over coordinates.

    Raises:
        UsageError: it normalises its input.
    """
    _require_linear(dictionary)
    encoder = dictionary.encoder - dictionary.encoder.mean(dim=0, keepdim=True)
    skip = dictionary.skip
    if skip is not None:
        skip = skip - skip.mean(dim=1, keepdim=True)
    folded = replace(
        dictionary, encoder=encoder, skip=skip, subtracts_bias=False, input_form="plain"
    )
    if not dictionary.subtracts_bias:
        return folded
    return _shifted(folded, dictionary.decoder_bias @ dictionary.encoder)


def _shifted(dictionary: Dictionary, shift: Float[Tensor, " latent"]) -> Dictionary:
    """The same with less bias before the activation function."""
    activation = dictionary.activation
    if not isinstance(activation, Gated):
        return replace(dictionary, encoder_bias=dictionary.encoder_bias - shift)
    shifted = replace(
        activation,
        gate_bias=activation.gate_bias - shift,
        magnitude_bias=activation.magnitude_bias - shift * activation.log_scale.exp(),
    )
    return replace(dictionary, activation=shifted)


def _require_linear(dictionary: Dictionary) -> None:
    if dictionary.normalisation != "none":
        raise UsageError(
            f"the dictionary {dictionary.name!r} normalises its input ({dictionary.normalisation}) and "
            f"expects it in another form ({dictionary.input_form}), which is not supported together"
        )


def unit_rows(dictionary: Dictionary) -> Dictionary:
    """The same reconstruction with decoder rows of length 1: each latent is times its row's norm."""
    norms = dictionary.decoder.norm(dim=-1)
    divisor = norms.clamp_min(_SMALLEST_NORM)
    decoder = dictionary.decoder / divisor[:, None]
    activation = dictionary.activation
    if isinstance(activation, Gated):  # the gate stays, the magnitude grows
        scaled = replace(
            activation,
            magnitude_bias=activation.magnitude_bias * divisor,
            log_scale=activation.log_scale + divisor.log(),
        )
        return replace(dictionary, decoder=decoder, activation=scaled)
    if isinstance(activation, JumpRelu):
        activation = JumpRelu(activation.threshold * divisor)
    return replace(
        dictionary,
        encoder=dictionary.encoder * divisor,
        encoder_bias=dictionary.encoder_bias * divisor,
        decoder=decoder,
        activation=activation,
    )


def scaled_input(dictionary: Dictionary, factor: float) -> Dictionary:
    """A dictionary of x, from an autoencoder of x times a factor (`expected_average_only_in`)."""
    return replace(
        dictionary,
        encoder=dictionary.encoder * factor,
        decoder=dictionary.decoder / factor,
        decoder_bias=dictionary.decoder_bias / factor,
        notes=(),
    )


def rotated(
    dictionary: Dictionary,
    centre: Float[Tensor, " d_in"],
    read: Float[Tensor, "d_in d_in"],
    written: Float[Tensor, "d_out d_out"],
) -> Dictionary:
    """A control: the dictionary, turned into directions that nothing was trained for.

    It encodes what the rotation `read` makes of its (normalised) input around a centre, and its
    decoder's rows are turned back by `written`. Activations keep about their sizes and their
    sparsity. Bias and skip connection of the decoder stay.
    """
    constant = centre @ read - centre
    if dictionary.subtracts_bias:
        constant = constant + dictionary.decoder_bias
    turned = replace(
        dictionary,
        encoder=read @ dictionary.encoder,
        decoder=dictionary.decoder @ written.T,
        subtracts_bias=False,
    )
    return _shifted(turned, constant @ dictionary.encoder)
