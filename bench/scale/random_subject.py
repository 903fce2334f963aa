"""Random subjects of several sizes, with detectors of known words (`detectors`) as targets.

What an index of them costs does not depend on what they have learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...tools.subject.silence_transformers import silence
from ...tools.subject.token_text import token_strings
from .detectors import plant_detectors
from .sizes import SubjectSize


def write_subject(size: SubjectSize, tokenizer: Any, folder: Path) -> Path:
    """Save a random subject of a size, with detectors, and the tokenizer; returns its folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

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
