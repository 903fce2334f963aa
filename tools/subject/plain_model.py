"""Plain folders of models that a library has dequantised, made once in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..files import atomic_folder, cache_dir, locked


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """A subject's folder in the cache, made if it is not there yet; it appears complete or not at all.

    Raises:
        UnavailableError: the disk is full.
    """
    folder = cache_dir() / "subjects" / name
    if folder.exists():
        return folder
    with locked(folder):
        if not folder.exists():
            with atomic_folder(folder) as part:
                make(part)
    return folder


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
