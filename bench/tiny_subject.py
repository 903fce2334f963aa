"""A tiny random model for soaks and tests: a llama of 3 layers, the same for the same seed.

Its tokenizer reads any text, as common words and bytes, with exact offsets.
"""

from __future__ import annotations

from typing import Any

from ..tools.subject.subject import Subject

# Common words are one token each, also after a space; everything else is split into bytes.
WORDS = (
    "the of and in to a is was on Monday Tuesday Friday cat dog city river bank said told year 1999 "
    "not very red blue"
)
SIZES = {
    "num_hidden_layers": 3,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


def word_tokenizer(words: str = WORDS) -> Any:
    """A tokenizer of bytes and a few words, which are separated by spaces."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(["<pad>", *alphabet])}
    for text in (text for word in words.split() for text in (word, "Ġ" + word)):
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


def miniature(seed: int = 0) -> Subject:
    """The subject: 24 neurons and 4 heads per layer, d_model 16, 128 tokens of context."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = word_tokenizer()
    special = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer), **SIZES, **special)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():  # weights large enough that every part matters to the output
            for name, weight in model.named_parameters():
                weight.normal_(std=0.4 if weight.ndim > 1 and "embed" not in name else 0.3)
                if "norm" in name:
                    weight.add_(1)
    return Subject(model, tokenizer, name="miniature", revision=f"{seed:016x}")
