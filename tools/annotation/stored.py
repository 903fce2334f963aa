"""Annotations as a file, with a hash of its content.

safetensors: `word` and `piece` (contexts x seq), `previous` and `head` (words), and the codes of each
layer under its name. The metadata has the values of each layer, as JSON, and the SHA-256 of all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from ..errors import CorruptError
from ..files import atomic_file
from ..files.regular_file import check_regular
from .annotations import AnnotationLayer, Annotations

FORMAT = "1"
_PARTS = ("word", "piece", "previous", "head")


def save_annotations(
    annotations: Annotations, path: Path, only: Collection[str] | None = None
) -> None:
    """Write annotations; ``only`` are the layers of words to keep, by default all."""
    from safetensors.numpy import save_file

    layers = {
        name: layer for name, layer in annotations.layers.items() if only is None or name in only
    }
    arrays = {name: getattr(annotations, name) for name in _PARTS}
    arrays |= {f"layer {name}": layer.codes for name, layer in layers.items()}
    arrays = {name: _narrow(array) for name, array in arrays.items()}
    values = json.dumps({name: layer.values for name, layer in layers.items()}, sort_keys=True)
    metadata = {"format": FORMAT, "values": values, "sha256": _digest(arrays, values)}
    with atomic_file(path) as part:
        save_file(arrays, part, metadata=metadata)


def load_annotations(path: Path) -> Annotations:
    """Read what `save_annotations` wrote; raises CorruptError if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise ValueError(f"format {metadata.get('format')!r}")
        if metadata["sha256"] != _digest(arrays, metadata["values"]):
            raise ValueError("it is not what was written")
        arrays = {name: array.astype(np.int32) for name, array in arrays.items()}
        values = json.loads(metadata["values"])
        layers = {
            name: AnnotationLayer(arrays[f"layer {name}"], tuple(listed))
            for name, listed in values.items()
        }
        return Annotations(
            arrays["word"], arrays["piece"], arrays["previous"], arrays["head"], layers
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"the annotations in {path} cannot be read ({error})") from error


def _narrow(array: np.ndarray) -> np.ndarray:
    """The array in the smallest type of integers that holds it."""
    largest = int(array.max(initial=0))
    narrow = next(kind for kind in (np.int8, np.int16, np.int32) if largest <= np.iinfo(kind).max)
    return np.ascontiguousarray(array, narrow)


def _digest(arrays: Mapping[str, np.ndarray], values: str) -> str:
    digest = hashlib.sha256(values.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(arrays[name].astype("<i4", copy=False).tobytes())
    return digest.hexdigest()
