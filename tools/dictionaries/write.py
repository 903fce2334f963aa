"""Writes a dictionary for other tools, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .dictionary import Dictionary
from .formats import saelens, sparsify

DictionaryWriter = Callable[[Dictionary, Path, Mapping[str, Any] | None], Path]
WRITERS: dict[str, DictionaryWriter] = {"saelens": saelens.write, "sparsify": sparsify.write}


def write_dictionary(
    dictionary: Dictionary, folder: Path, form: str, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write a dictionary; returns its own folder, which sparsify names after the module.

    Args:
        form: "saelens" or "sparsify".
        metadata: further fields of SAELens' `cfg.json`, such as context_size and dataset_path.

    Raises:
        UsageError: the form is unknown, cannot hold the dictionary, or the folder holds other files.
        UnavailableError: no permission, or the disk is full.
    """
    if form not in WRITERS:
        raise UsageError(
            f"no form of dictionaries {form!r} is written; known are {', '.join(WRITERS)}"
        )
    return WRITERS[form](dictionary, folder, metadata)
