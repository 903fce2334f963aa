"""Saves a model that a library has dequantised as a plain folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_plain_model(model: Any, folder: Path) -> None:
    """Write config.json, without a word of quantisation, and model.safetensors.

    transformers' own `save_pretrained` would quantise the weights again, or refuses.
    """
    from safetensors.torch import save_file

    config: dict[str, Any] = model.config.to_dict()
    config.pop("quantization_config", None)
    type(model.config)(**config).save_pretrained(folder)
    tied = model.config.tie_word_embeddings
    weights = {
        name: weight.contiguous()
        for name, weight in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
