"""How one stream attends to another: cross-attention of any encoder-decoder of transformers.

The source is what the encoder reads: text, or the features of an image or a sound. The target is the
text that the decoder reads. A row of cross-attention says where in the source a target token looks.

1. One pass with eager attention, with the arguments that the model itself takes.
2. Padding of the source gets no attention; rows of padded target tokens mean nothing and are left
   out by `target`.
3. `cross_attention_mass` adds up each head's attention to the marked part of the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import ArgumentError, UsageError


class TwoStreams:
    """An encoder-decoder, such as T5, BART, Whisper or a captioner of images.

    Raises:
        UsageError: the model is a decoder or an encoder alone.
    """

    def __init__(self, model: Any, name: str = "this model") -> None:
        if not getattr(model.config, "is_encoder_decoder", False):
            kind = getattr(model.config, "model_type", type(model).__name__)
            raise UsageError(
                f"{name} is of type {kind!r}, which has one stream; cross-attention needs an "
                "encoder-decoder, such as T5 or BART (of one stream: hubel study attention)"
            )
        self.model, self.name = model.eval().requires_grad_(False), name

    @torch.inference_mode()
    def cross_attention(
        self, source: Mapping[str, Tensor], target: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "layer batch head target source"]:
        """Where each token of the target looks in the source; each row sums to 1.

        Args:
            source: the encoder's arguments by name, such as `input_ids` and `attention_mask`, or
                `pixel_values`.
        """
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            output = self.model(
                **source, decoder_input_ids=target, output_attentions=True, use_cache=False
            )
        finally:
            self.model.set_attn_implementation(before)
        return torch.stack(output.cross_attentions)


def cross_attention_mass(
    patterns: Float[Tensor, "layer batch head target source"],
    source: Bool[Tensor, "batch source"],
    target: Bool[Tensor, "batch target"] | None = None,
) -> Float[Tensor, "layer batch head"]:
    """Share of attention that the target tokens give to the marked part of the source.

    Args:
        source: the part of the source, such as the places of one object or one sentence.
        target: tokens that count; by default all.

    Raises:
        ArgumentError: a mark does not fit the patterns, or a row has no target token.
    """
    batch, n_target, n_source = patterns.shape[1], *patterns.shape[-2:]
    counted = torch.ones(batch, n_target, dtype=torch.bool) if target is None else target
    for what, mark, size in (("source", source, n_source), ("target", counted, n_target)):
        if tuple(mark.shape) != (batch, size):
            raise ArgumentError(
                f"marks of the {what} of shape {tuple(mark.shape)} given; expected ({batch}, {size})"
            )
    if not counted.any(1).all():
        raise ArgumentError("a row has no target token that counts: mark at least one")
    to_source = (patterns * source[None, :, None, None].to(patterns)).sum(-1)
    weights = counted[None, :, None].to(patterns)
    return (to_source * weights).sum(-1) / weights.sum(-1)
