"""Tiny random subjects of every family, made in the test: no download, seconds to run, the same for the same seed."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from hubel.tools.subject.subject import Subject

N_LAYERS, N_NEURONS, N_HEADS, D_MODEL = 3, 24, 4, 16

MODEL_TYPES = (
    "llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "mistral", "phi3",
)  # fmt: skip

# Common words are one token each, behind a space too; everything else falls apart into bytes.
WORDS = (
    "the of and in to a is was on Monday Tuesday Friday cat dog city river bank said told year 1999 not very red blue"
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and a few words: any text, exact offsets."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(["<pad>", *alphabet])}
    for text in (text for word in WORDS.split() for text in (word, "Ġ" + word)):
        vocabulary.setdefault(text, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def tiny_model(model_type: str = "llama", seed: int = 0, vocab_size: int = 400) -> Any:
    """A random model with weights large enough that every part matters to the output."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **_sizes(model_type, vocab_size)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.4 if weight.ndim > 1 and "embed" not in name else 0.3)
            if "norm" in name or "ln_" in name:
                weight.add_(1)
    return model.eval()


def _sizes(model_type: str, vocab_size: int) -> dict[str, Any]:
    sizes: dict[str, Any] = {"vocab_size": vocab_size, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
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
        sizes["head_dim"] = 6  # these families choose it freely, so that z is wider or narrower than d_model
    return sizes


def tiny_subject(model_type: str = "llama", seed: int = 0, **options: Any) -> Subject:
    """A subject of 3 layers, 24 neurons and 4 heads a layer, d_model 16, 128 tokens of context."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(model_type, seed, vocab_size=len(tokenizer))
    name = f"tiny-{model_type}"
    return Subject(model, tokenizer, name=name, revision=f"{seed:016x}", **options)
