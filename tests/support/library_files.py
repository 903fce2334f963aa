"""Dictionaries as other libraries' own classes write them, kept with these libraries' answers.

`library_vectors.json` has one entry for each dictionary: its files, and what the library's class made
of two vectors. `tests/tools/dictionaries/test_library_vectors.py` says how it was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.dictionary_files import Numbers

VECTORS = Path(__file__).with_name("library_vectors.json")
WIDTH, LATENTS, K = 4, 6, 2
_DTYPES = {"float32": torch.float32, "int32": torch.int32, "int64": torch.int64}


class LibraryCase(NamedTuple):
    """One dictionary of a library.

    Attributes:
        files: by path below the dictionary's folder: a text, or tensors by name.
        source: the path among them that is read.
        activations, reconstruction: by the library, for `vectors()`.
    """

    files: Mapping[str, str | Mapping[str, Tensor]]
    source: str
    activations: Tensor
    reconstruction: Tensor


def vectors() -> Tensor:
    """The vectors that every case was asked about."""
    return short(Numbers(7)(2, WIDTH) * 2 + 0.5)


def short(values: Tensor) -> Tensor:
    """Rounded to two decimals, so that the file of vectors stays small."""
    return values.mul(100).round().div(100)


def fill(module: torch.nn.Module, seed: int = 0) -> None:
    """Give a module's parameters and thresholds numbers that look random; thresholds are positive."""
    draw = Numbers(seed)
    with torch.no_grad():
        for name, tensor in sorted(module.state_dict(keep_vars=True).items()):
            if not tensor.is_floating_point():
                continue
            values = short(draw(*tensor.shape))
            tensor.copy_(values.abs() if "threshold" in name else values)


def read_files(folder: Path) -> dict[str, str | Mapping[str, Tensor]]:
    """What a library wrote into a folder."""
    files: dict[str, str | Mapping[str, Tensor]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".safetensors":
            files[name] = load_file(path)
        elif path.suffix == ".pt":
            files[name] = torch.load(path, weights_only=True)
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                files[name] = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        else:
            files[name] = path.read_text(encoding="utf-8")
    return files


def write_case(folder: Path, case: LibraryCase) -> Path:
    """Write a case's files; returns the path to read."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".safetensors":
            save_file(dict(content), path)
        elif path.suffix == ".pt":
            torch.save(dict(content), path)
        else:
            arrays = {key: tensor.numpy() for key, tensor in content.items()}
            np.savez(path, **cast(Any, arrays))
    return folder / case.source


def load_cases() -> dict[str, LibraryCase]:
    """The kept cases by name, which begins with the library and its version."""
    return {name: _case(entry) for name, entry in json.loads(VECTORS.read_text("utf-8")).items()}


def _case(entry: Mapping[str, Any]) -> LibraryCase:
    files = {
        name: content if isinstance(content, str) else {k: _tensor(v) for k, v in content.items()}
        for name, content in entry["files"].items()
    }
    answers = (torch.tensor(entry[name]) for name in ("activations", "reconstruction"))
    return LibraryCase(files, entry["source"], *answers)


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    return torch.tensor(entry["values"], dtype=_DTYPES[entry["dtype"]])


def save_cases(cases: Mapping[str, LibraryCase]) -> None:
    """Keep cases among those that are kept already."""
    kept = json.loads(VECTORS.read_text("utf-8")) if VECTORS.exists() else {}
    kept |= {name: _as_json(case) for name, case in cases.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(kept[name])}" for name in sorted(kept)]
    VECTORS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _as_json(case: LibraryCase) -> dict[str, Any]:
    files = {
        name: content
        if isinstance(content, str)
        else {
            key: {"dtype": str(tensor.dtype).removeprefix("torch."), "values": _numbers(tensor)}
            for key, tensor in content.items()
        }
        for name, content in case.files.items()
    }
    return {
        "source": case.source,
        "files": files,
        "activations": _numbers(case.activations),
        "reconstruction": _numbers(case.reconstruction),
    }


def _numbers(tensor: Tensor) -> Any:
    if tensor.dim():
        return [_numbers(row) for row in tensor]
    return round(float(tensor), 6) if tensor.is_floating_point() else int(tensor)
