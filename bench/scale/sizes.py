"""Random subjects of several sizes, with detectors of known words (`detectors`) as targets.

What an index of them costs does not depend on what they have learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple


class SubjectSize(NamedTuple):
    """A llama's dimensions; `mlp` is the number of neurons of a layer."""

    layers: int
    width: int
    mlp: int
    heads: int
    kv_heads: int

    @property
    def name(self) -> str:
        """Such as "30x576"."""
        return f"{self.layers}x{self.width}"

    @property
    def weights(self) -> int:
        """Weights in its matrices, without the embedding, which an index does not multiply with."""
        attention = self.width * self.width * (2 + 2 * self.kv_heads / self.heads)
        return round(self.layers * (attention + 3 * self.width * self.mlp))

    @property
    def units(self) -> int:
        """Neurons and heads."""
        return self.layers * (self.mlp + self.heads)


SIZES = (
    SubjectSize(6, 384, 1024, 6, 3),
    SubjectSize(12, 576, 1536, 9, 3),
    SubjectSize(30, 576, 1536, 9, 3),
    SubjectSize(12, 960, 2560, 15, 5),
    SubjectSize(24, 960, 2560, 15, 5),
)
"""10 to 236 million weights; the third has the dimensions of SmolLM2-135M, the last those of two
thirds of SmolLM2-360M. Smaller matrices than these do not keep a core busy."""


def write_subject(size: SubjectSize, tokenizer: Any, folder: Path) -> Path:
    """Save a random subject of a size, with detectors, and the tokenizer; returns its folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ...tools.subject.silence_transformers import silence
    from ...tools.subject.token_text import token_strings
    from .detectors import plant_detectors

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    path = folder / size.name
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    plant_detectors(model, size, token_strings(tokenizer, len(tokenizer)))
    with silence():
        model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
