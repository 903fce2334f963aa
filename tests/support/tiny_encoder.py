"""Tiny random encoders of every family, and a tokenizer that puts [CLS] and [SEP] around a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from hubel.tools.subject.encoder import Encoder

from .tiny import D_MODEL, N_HEADS, N_LAYERS, N_NEURONS

ENCODER_TYPES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert")
_TEXT = "the a cat dog river bank was not very red blue mon ##day fri . ,"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_TEXT.split()]


def wordpiece_tokenizer() -> Any:
    """BERT's tokenizer with a few words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    named = {f"{name}_token": token for name, token in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def tiny_encoder_model(model_type: str = "bert", seed: int = 0) -> Any:
    """A random encoder with weights large enough that every part matters."""
    sizes: dict[str, Any] = {
        "vocab_size": len(WORDS),
        "num_hidden_layers": N_LAYERS,
        "hidden_size": D_MODEL,
        "intermediate_size": N_NEURONS,
        "num_attention_heads": N_HEADS,
        "max_position_embeddings": 66,
        "pad_token_id": 0,
    }
    if model_type == "distilbert":
        del sizes["intermediate_size"]
        sizes["hidden_dim"] = N_NEURONS
    if model_type == "electra":
        sizes["embedding_size"] = D_MODEL - 4  # it has a projection of its embeddings
    torch.manual_seed(seed)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **sizes))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.4 if weight.ndim > 1 and "embed" not in name else 0.3)
            if "norm" in name.lower() and name.endswith("weight"):
                weight.add_(1)
    return model.eval()


def tiny_encoder(model_type: str = "bert", seed: int = 0) -> Encoder:
    """An encoder of 3 layers, 24 neurons and 4 heads a layer, d_model 16."""
    model = tiny_encoder_model(model_type, seed)
    name = f"tiny-{model_type}"
    return Encoder(model, wordpiece_tokenizer(), name=name, revision=f"{seed:016x}")


def save_tiny_encoder(folder: Path, model_type: str = "bert") -> Path:
    """A tiny encoder's folder."""
    tiny_encoder_model(model_type).save_pretrained(folder)
    wordpiece_tokenizer().save_pretrained(folder)
    return folder
