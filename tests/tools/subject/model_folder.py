"""A tiny model's folder, ways to damage it, and the message that refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.tools.errors import HubelError, UsageError
from hubel.tools.subject import load_subject
from tests.support.tiny import tiny_model, tiny_tokenizer

Tensors = dict[str, torch.Tensor]
GATE = "model.layers.1.mlp.gate_proj.weight"
MISSING = object()
"""As a value in `edit_json`: the key is removed."""


def save_tiny(folder: Path, model_type: str = "llama", **config: Any) -> Path:
    """Save a tiny model and its tokenizer, with changes to config.json; returns the folder."""
    tokenizer = tiny_tokenizer()
    tiny_model(model_type, vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    edit_json(folder / "config.json", config)
    return folder


def edit_json(path: Path, changes: Mapping[str, Any]) -> None:
    """Change keys of a file's object."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not MISSING}))


def rewrite(folder: Path, change: Callable[[Tensors], Tensors | None]) -> None:
    """Save the weights again, as `change` returns them or leaves them."""
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors) or tensors, folder / "model.safetensors", metadata={"format": "pt"})


def refusal(folder: Path, kind: type[HubelError] = UsageError, **options: Any) -> str:
    """The message with which loading a folder fails: one line about the user's file."""
    with pytest.raises(kind) as error:
        load_subject(str(folder), device="cpu", **options)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 700
    assert "architectures.py" not in message, "the user's file is at fault, not a table of ours"
    return message
