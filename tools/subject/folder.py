"""Checks what kind of folder a subject's is, before any of its files is parsed."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import UsageError
from ..files.regular_file import check_regular
from ..files.stored_tensors import PICKLES
from .model_config import quantised_message

MAX_BYTES = 1 << 28
"""Of a file of text. The largest, tokenizer.json of 260,000 tokens, has 35 MB."""
_TEXT = (".json", ".jinja", ".txt", ".model")
_DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not a plain model's, or holds what is not a file.

    Raises:
        UsageError: it is an adapter's, quantised or of GGUF files; or one of its files cannot be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"the folder {str(folder)!r} cannot be read ({error.strerror})") from error
    names = {path.name for path in paths}
    if "adapter_config.json" in names:
        raise UsageError(
            f"{str(folder)!r} is an adapter (LoRA), which is not a model by itself: merge it into its "
            "base model and give that (peft: merge_and_unload().save_pretrained(FOLDER)); "
            "if it is merged already, remove adapter_config.json"
        )
    for name in ("quantize_config.json", "quant_config.json"):
        if name in names:
            raise UsageError(quantised_message(folder, f"it has a {name}"))
    if "config.json" not in names and any(name.endswith(".gguf") for name in names):
        file = next(name for name in sorted(names) if name.endswith(".gguf"))
        raise UsageError(
            f"{str(folder)!r} has no config.json and holds GGUF; give the file itself "
            f"({str(folder / file)!r}), or the folder or hub name of the model that it was made from"
        )
    for path in paths:
        if _DISTRIBUTED.fullmatch(path.name):
            raise UsageError(
                f"{str(folder)!r} is a checkpoint distributed over several machines ({path.name}); "
                "save the model with save_pretrained"
            )
        if path.suffix in _TEXT:
            _check_file(path)


def check_not_a_file(name: str) -> None:
    """Raise UsageError, with the cure, if a subject's name is that of a file."""
    path = Path(name)
    try:
        if not path.exists():
            return
    except (OSError, ValueError):  # too long for a path, or with a null character
        return
    if path.suffix in PICKLES:
        cure = "it can carry code: save the model as safetensors, and give its folder"
    else:
        cure = "give the folder of the model, with config.json, tokenizer.json and *.safetensors"
    raise UsageError(f"the subject {name!r} is a file; {cure}")


def _check_file(path: Path) -> None:
    try:
        check_regular(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}") from error
