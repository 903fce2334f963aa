"""What a subject's safetensors files hold, read from their headers alone: names, shapes, formats.

A header says how many bytes follow it, so a file that was cut short, never fully written, or made to
exhaust memory is recognised before anything is allocated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

from ..errors import CorruptError, UsageError
from .regular_file import IrregularFileError, open_regular, read_regular

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER = 1 << 24
"""Bytes of a header: about 130,000 tensors. The largest models have a few thousand."""
MAX_HOLES = 0.01
"""Share of a file that may be holes, which read as zeros: some file systems store long runs of zeros
this way, such as unused rows of an embedding."""
MAX_DIMENSIONS = 8
_BYTES_PER_NUMBER = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8,
}  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Endings of files that run code when they are read."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a header describes it; `dtype` is safetensors' name of the number format."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def read_stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of a folder's weights by name, from `model.safetensors` or the index's shards.

    Raises:
        UsageError: there are no such files, or a shard is missing.
        CorruptError: a file is cut short or damaged, or index and shards disagree.
    """
    if (folder / SINGLE).exists():
        return tensors_of_file(folder / SINGLE)
    if (folder / INDEX).exists():
        return _of_shards(folder)
    other = sorted(
        path.name for path in folder.iterdir() if path.suffix in (".safetensors", *PICKLES)
    )
    if any(Path(name).suffix == ".safetensors" for name in other):
        held = f"it has {', '.join(other[:3])}; rename the weights, or save the model again"
    elif other:
        held = f"it has {', '.join(other[:3])}, which can carry code; save the model as safetensors"
    else:
        held = "give the folder of a whole model"
    raise UsageError(f"no {SINGLE} or {INDEX} in {str(folder)!r}: {held}")


def _of_shards(folder: Path) -> dict[str, StoredTensor]:
    index = folder / INDEX
    try:
        weight_map = json.loads(read_regular(index, MAX_HEADER))["weight_map"]
        file_of = {str(name): str(file) for name, file in weight_map.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptError(
            f"{str(index)!r} is not an index of shards ({type(error).__name__}: {error}); "
            "fetch the model again"
        ) from error
    tensors: dict[str, StoredTensor] = {}
    for file in sorted(set(file_of.values())):
        if Path(file).name != file:
            raise UsageError(
                f"{str(index)!r} names the shard {file!r}; expected a file of its folder"
            )
        if not (folder / file).exists():
            n_tensors = sum(shard == file for shard in file_of.values())
            raise UsageError(
                f"the shard {file!r} with {n_tensors} tensors, named in {str(index)!r}, is missing; "
                "fetch the model again"
            )
        shard = tensors_of_file(folder / file)
        if twice := sorted(shard.keys() & tensors.keys()):
            raise CorruptError(
                f"{twice[0]!r} is in two shards of {str(folder)!r}, {file!r} and "
                f"{tensors[twice[0]].file.name!r}; fetch the model again"
            )
        tensors |= shard
    if absent := sorted(file_of.keys() - tensors.keys()):
        verb = "is" if len(absent) == 1 else "are"
        raise CorruptError(
            f"{first_names(absent)} of {str(index)!r} {verb} in none of the shards; "
            "fetch the model again"
        )
    return tensors


def tensors_of_file(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one safetensors file by name.

    Raises:
        UsageError: it cannot be read.
        CorruptError: it is cut short or damaged.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            header, start = _header(file, size)
            _check_holes(file, size)
    except IrregularFileError as error:
        raise UsageError(
            f"{str(path)!r} is {error.strerror}; give the weights themselves"
        ) from error
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read ({error.strerror})") from error
    except _DamagedHeader as error:
        raise CorruptError(_damaged(path, str(error))) from error
    try:
        return _tensors(path, header, size - start)
    except _DamagedHeader as error:
        raise CorruptError(_damaged(path, str(error))) from error


def _damaged(path: Path, reason: str) -> str:
    return (
        f"the weights in {str(path)!r} are cut short or damaged ({reason}); fetch them again "
        "(for the embedded subject: hubel cache clear)"
    )


class _DamagedHeader(Exception):
    """A header that does not describe its file; the message says how."""


def _header(file: IO[bytes], size: int) -> tuple[Mapping[str, Any], int]:
    """A file's header, and where its numbers begin."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise _DamagedHeader(f"a header of {length:,} bytes in a file of {size:,}")
    if length > MAX_HEADER:
        raise _DamagedHeader(f"a header of {length:,} bytes; at most {MAX_HEADER:,} are read")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise _DamagedHeader("its header is not JSON") from error
    if not isinstance(header, dict):
        raise _DamagedHeader("its header is not an object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _tensors(path: Path, header: Mapping[str, Any], n_bytes: int) -> dict[str, StoredTensor]:
    """The header's tensors; together they cover the rest of the file, each byte once."""
    tensors: dict[str, StoredTensor] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        try:
            dtype, shape = str(entry["dtype"]), tuple(int(size) for size in entry["shape"])
            start, end = (int(place) for place in entry["data_offsets"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _DamagedHeader(f"its entry of {name[:80]!r} is incomplete") from error
        if len(shape) > MAX_DIMENSIONS or min(shape, default=0) < 0:
            raise _DamagedHeader(f"{name[:80]!r} has the shape {str(shape)[:80]}")
        each = _BYTES_PER_NUMBER.get(dtype)
        if each is not None and end - start != prod(shape) * each:
            raise _DamagedHeader(
                f"{name[:80]!r} of shape {shape} and type {dtype} has {end - start:,} bytes"
            )
        spans.append((start, end))
        tensors[name] = StoredTensor(path, name, dtype, shape)
    place = 0
    for start, end in sorted(spans):
        if start != place:
            raise _DamagedHeader("its tensors overlap or leave gaps")
        place = end
    if place != n_bytes:
        raise _DamagedHeader(f"its tensors have {place:,} bytes, the file holds {n_bytes:,}")
    return tensors


def _check_holes(file: IO[bytes], size: int) -> None:
    """Refuse a file that was largely never written, such as an unfinished download."""
    if not hasattr(os, "SEEK_HOLE"):
        return
    descriptor, place, holes = file.fileno(), 0, 0
    # A file has few holes; where it has many, those that are counted are enough.
    for _ in range(1000):
        hole = os.lseek(descriptor, place, os.SEEK_HOLE)
        if hole >= size:
            break
        try:
            place = os.lseek(descriptor, hole, os.SEEK_DATA)
        except OSError:  # no data after the hole
            place = size
        holes += place - hole
        if place >= size:
            break
    if holes > MAX_HOLES * size:
        raise _DamagedHeader(f"{holes:,} of its {size:,} bytes were never written")


def first_names(names: list[str]) -> str:
    """The first three names, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
