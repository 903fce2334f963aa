"""Tiny random subjects of every family, made in the test: no download, seconds to run, the same for the same seed."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from hubel.bench.tiny_subject import WORDS as WORDS
from hubel.bench.tiny_subject import word_tokenizer as tiny_tokenizer
from hubel.tools.subject.subject import Subject

N_LAYERS, N_NEURONS, N_HEADS, D_MODEL = 3, 24, 4, 16

MODEL_TYPES = (
    "llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "mistral", "phi3",
)  # fmt: skip


def tiny_model(model_type: str = "llama", seed: int = 0, vocab_size: int = 400) -> Any:
    """A random model with weights large enough that every part matters to the output."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(model_type, **_sizes(model_type, vocab_size))
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.4 if weight.ndim > 1 and "embed" not in name else 0.3)
            if "norm" in name or "ln_" in name:
                weight.add_(1)
    return model.eval()


def _sizes(model_type: str, vocab_size: int) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    if model_type == "gpt2":
        return sizes | {
            "n_layer": N_LAYERS,
            "n_embd": D_MODEL,
            "n_head": N_HEADS,
            "n_inner": N_NEURONS,
            "n_positions": 128,
        }
    sizes |= {
        "num_hidden_layers": N_LAYERS,
        "hidden_size": D_MODEL,
        "intermediate_size": N_NEURONS,
        "num_attention_heads": N_HEADS,
        "max_position_embeddings": 128,
    }
    if model_type != "gpt_neox":
        sizes["num_key_value_heads"] = 2
    if model_type in ("qwen3", "gemma", "gemma2", "gemma3_text"):
        sizes["head_dim"] = (
            6  # these families choose it freely, so that z is wider or narrower than d_model
        )
    return sizes


def tiny_subject(model_type: str = "llama", seed: int = 0, **options: Any) -> Subject:
    """A subject of 3 layers, 24 neurons and 4 heads a layer, d_model 16, 128 tokens of context."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(model_type, seed, vocab_size=len(tokenizer))
    name = f"tiny-{model_type}"
    return Subject(model, tokenizer, name=name, revision=f"{seed:016x}", **options)
