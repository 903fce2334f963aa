"""Reads a dictionary's files, which are strangers': sizes, shapes and numbers are checked first. Writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CorruptError, UsageError
from ..files.atomic import atomic_folder, file_sha256
from ..files.regular_file import read_regular
from ..files.stored_tensors import FLOATS, first_names, tensors_of_file
from ..files.strict_json import parse_strict_json

MAX_CONFIG = 1 << 22
"""Bytes of a configuration; the largest seen, with a training run's settings, has 10 kB."""


class NamedWeights:
    """The tensors of a dictionary, each taken once, with its shape checked.

    Attributes:
        where: the file, for messages.
        tensors: by name; those that were taken are gone.
    """

    def __init__(self, where: str, tensors: Mapping[str, Tensor]) -> None:
        self.where = where
        self.tensors = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str, dimensions: int = 2) -> tuple[int, ...]:
        """A tensor's shape.

        Raises:
            UsageError: it is missing, or has another number of dimensions.
        """
        shape = tuple(self._tensor(name).shape)
        if len(shape) != dimensions:
            raise UsageError(
                f"{name!r} in {self.where} has the shape {shape}; expected {dimensions} dimensions"
            )
        return shape

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor of a shape, as float32.

        Raises:
            UsageError: it is missing, has another shape, or is not finite.
        """
        tensor = self._tensor(name)
        if tuple(tensor.shape) != shape:
            raise UsageError(
                f"{name!r} in {self.where} has the shape {tuple(tensor.shape)}; expected {shape}"
            )
        values = self.tensors.pop(name).float()
        if not bool(values.isfinite().all()):
            n_bad = int((~values.isfinite()).sum())
            raise UsageError(
                f"{name!r} in {self.where} has {n_bad:,} numbers that are NaN or infinite; fetch or "
                "train it again"
            )
        return values

    def flatten(self, name: str) -> None:
        """Drop a tensor's dimensions of size 1."""
        self.tensors[name] = self._tensor(name).squeeze()

    def refuse_others(self) -> None:
        """Raise UsageError if tensors are left, since they might change what is computed."""
        if self.tensors:
            raise UsageError(
                f"{self.where} holds {first_names(sorted(self.tensors))}, which this kind of "
                "dictionary does not have; check the architecture in its configuration"
            )

    def _tensor(self, name: str) -> Tensor:
        if name not in self.tensors:
            held = first_names(sorted(self.tensors)) or "nothing more"
            raise UsageError(f"{self.where} has no tensor {name!r}; it holds {held}")
        return self.tensors[name]


def read_weights(path: Path, whole_numbers: Sequence[str] = ("k",)) -> NamedWeights:
    """The tensors of a safetensors file.

    Args:
        whole_numbers: names of tensors that may be of whole numbers.

    Raises:
        UsageError: it cannot be read, or a tensor is of whole numbers.
        CorruptError: it is cut short or damaged.
    """
    from safetensors.torch import load_file

    for stored in tensors_of_file(path).values():
        if stored.dtype not in FLOATS and stored.name not in whole_numbers:
            raise UsageError(
                f"{stored.name!r} in {str(path)!r} is of type {stored.dtype}; expected "
                f"{', '.join(FLOATS)}"
            )
    return NamedWeights(repr(str(path)), load_file(path))


def read_pickled_weights(path: Path) -> Mapping[str, Any]:
    """What a `.pt` file holds, if it is tensors and plain values and carries no code.

    Raises:
        UsageError: it holds anything else, or no table of tensors.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler of a stranger's bytes raises errors of any kind
        first_line = str(error).strip().splitlines()[0][:120] if str(error).strip() else "no reason"
        raise UsageError(
            f"{str(path)!r} is refused: a pickle may carry code, and this one cannot be read as tensors "
            f"alone ({type(error).__name__}: {first_line}); save its state_dict as safetensors"
        ) from error
    if not isinstance(content, Mapping):
        raise UsageError(
            f"{str(path)!r} holds a {type(content).__name__}; expected a table of tensors (state_dict)"
        )
    return content


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UsageError: it cannot be opened.
        CorruptError: it is no JSON object.
    """
    try:
        content = parse_strict_json(read_regular(path, MAX_CONFIG).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CorruptError(
            f"{str(path)!r} is cut short or no JSON ({error}); fetch the dictionary again"
        ) from error
    if not isinstance(content, dict):
        raise CorruptError(
            f"{str(path)!r} holds a {type(content).__name__}; expected a JSON object"
        )
    return content


def whole_number(config: Mapping[str, Any], key: str, path: Path) -> int:
    """A positive whole number of a configuration; raises UsageError."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        given = f"is {value!r}" if key in config else "is missing"
        raise UsageError(f"{key!r} in {str(path)!r} {given}; expected a whole number above 0")
    return value


def digest(paths: Sequence[Path]) -> str:
    """SHA-256 over the hashes of files, in this order."""
    return hashlib.sha256("".join(map(file_sha256, paths)).encode()).hexdigest()


def write_files(
    folder: Path,
    config_name: str,
    config: Mapping[str, Any],
    weights_name: str,
    tensors: Mapping[str, Tensor],
) -> None:
    """Write a folder of one configuration and one safetensors file, whole or not at all.

    Raises:
        UsageError: the folder holds anything else than such files.
    """
    from safetensors.torch import save_file

    others = sorted({path.name for path in folder.iterdir()} if folder.exists() else set())
    if foreign := [name for name in others if name not in (config_name, weights_name)]:
        raise UsageError(
            f"{str(folder)!r} holds {first_names(foreign)} already; choose a folder that does not exist"
        )
    with atomic_folder(folder) as part:
        (part / config_name).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(held, part / weights_name)
