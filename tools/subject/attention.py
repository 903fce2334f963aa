"""Where heads attend: their patterns, from a pass with eager attention, the only one that returns them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .subject import Subject


@contextmanager
def eager_attention(subject: Subject) -> Iterator[None]:
    """Eager attention inside the block; afterwards the implementation that was there before."""
    model: Any = subject.model
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attention_patterns(
    subject: Subject, ids: Int[Tensor, "batch seq"]
) -> Float[Tensor, "layer batch head query key"]:
    """Every head's attention pattern; each row sums to 1. Padding is no key, but its rows mean nothing."""
    ids = ids.to(subject.device)
    options: dict[str, Any] = {} if subject.bidirectional else {"logits_to_keep": 1}
    if (mask := subject.mask(ids)) is not None:
        options["attention_mask"] = mask
    with eager_attention(subject), torch.inference_mode():
        output = subject.model(ids, use_cache=False, output_attentions=True, **options)
    return torch.stack(output.attentions)
