"""What a subject answers without one attention or MLP block: its write replaced by a mean.

1. Run all prompts once and take each block's mean write over all tokens but those of position 0,
   whose values are of their own kind.
2. Run them again for each block, with that mean written at every position but 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..subject.subject import Subject
from .hooks import temporary_hooks
from .prompts import PromptPairs


class Block(NamedTuple):
    """The attention or the MLP of one layer; `str` is ``mlp of layer 3``."""

    kind: Literal["attention", "mlp"]
    layer: int

    def __str__(self) -> str:
        return f"{self.kind} of layer {self.layer}"

    def module(self, subject: Subject) -> nn.Module:
        """What writes to the residual stream."""
        layer = subject.parts.layers[self.layer]
        return layer.mlp_write if self.kind == "mlp" else layer.attention_write


def all_blocks(subject: Subject) -> list[Block]:
    """Attention and MLP of each layer, in order."""
    kinds: tuple[Literal["attention", "mlp"], ...] = ("attention", "mlp")
    return [Block(kind, layer) for layer in range(subject.shape.n_layers) for kind in kinds]


def mean_writes(
    subject: Subject, batches: Sequence[PromptPairs]
) -> dict[Block, Float[Tensor, " d_model"]]:
    """Each block's mean write on the clean prompts."""
    sums: dict[Block, Tensor] = {}
    tokens = 0
    for batch in batches:
        tokens += len(batch) * (batch.n_tokens - 1)
        with temporary_hooks() as hooks:
            for block in all_blocks(subject):

                def add(value: Tensor, block: Block = block) -> None:
                    sums[block] = sums.get(block, 0) + value[:, 1:].sum((0, 1))

                hooks.on_output(block.module(subject), add)
            _last_logits(subject, batch)
    return {block: total / max(1, tokens) for block, total in sums.items()}


def differences_without(
    subject: Subject,
    batches: Sequence[PromptPairs],
    block: Block | None,
    mean: Float[Tensor, " d_model"] | None = None,
) -> Float[Tensor, " prompt"]:
    """The logit difference of each prompt, as it is or with a block's write replaced by a mean."""
    differences: list[Tensor] = []
    for batch in batches:
        with temporary_hooks() as hooks:
            if block is not None and mean is not None:
                hooks.on_output(block.module(subject), lambda value: _replaced(value, mean))
            differences.append(batch.logit_difference(_last_logits(subject, batch)).cpu())
    return torch.cat(differences)


def _replaced(
    value: Float[Tensor, "prompt seq d_model"], mean: Float[Tensor, " d_model"]
) -> Float[Tensor, "prompt seq d_model"]:
    new = value.clone()
    new[:, 1:] = mean
    return new


@torch.inference_mode()
def _last_logits(subject: Subject, batch: PromptPairs) -> Float[Tensor, "prompt vocab"]:
    ids = batch.clean.to(subject.device)
    return subject.model(ids, use_cache=False, logits_to_keep=1).logits[:, -1].float()
