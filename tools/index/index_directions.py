"""The vectors of an index's named directions, kept in its folder so that a run needs no other file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import CorruptError
from ..files import atomic_file
from ..files.regular_file import check_regular
from ..subject.address import Site
from ..subject.subject import Subject
from .index import Index
from .index_files import DIRECTIONS
from .settings import vectors_sha256


def save_directions(subject: Subject, sites: Iterable[Site], folder: Path) -> None:
    """Write those of the `resid` sites that are a subject's own, under their addresses."""
    vectors = {
        f"{site}@{name}": vector.float().cpu().contiguous()
        for site in sites
        if site.kind == "resid"
        for name, vector in subject.directions.get(site.layer, {}).items()
    }
    if vectors:
        with atomic_file(folder / DIRECTIONS) as part:
            save_file(vectors, part)


def directions_file(index: Index) -> Path | None:
    """The file with an index's directions, checked; None if it has none, or kept none, as older ones.

    Raises:
        CorruptError: the file is damaged, or of other directions.
    """
    path = index.path / DIRECTIONS
    if not index.directions_sha256 or not path.exists():
        return None
    try:
        check_regular(path)
        vectors = load_file(path)
        for layer, sha256 in index.directions_sha256.items():
            names = index.shape.directions[int(layer)]
            rows = torch.stack([vectors[f"resid.{layer}@{name}"] for name in names])
            if vectors_sha256(rows) != sha256:
                raise ValueError(f"other vectors of layer {layer} than the index was made with")
    except (OSError, SafetensorError, LookupError, ValueError) as error:
        raise CorruptError(f"{path} is damaged ({error}); build {index.path} again") from error
    return path
