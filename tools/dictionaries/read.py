"""Reads a dictionary from a folder or file of any tool that is known: `formats/` has one module for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..subject.address import Site
from .dictionary import Dictionary
from .fold import scaled_input
from .formats import circuit_tracer, dictionary_learning, gemma_scope, saelens, sparsify
from .formats.given_places import GivenPlaces
from .hub import fetch, resolve_name


class DictionaryFormat(NamedTuple):
    """How files of one tool are recognised and read."""

    matches: Callable[[Path], bool]
    read: Callable[[Path, str, GivenPlaces], Dictionary]
    looks_like: str
    """The files of one dictionary, for messages."""


FORMATS: dict[str, DictionaryFormat] = {
    "SAELens": DictionaryFormat(
        saelens.matches, saelens.read, f"{saelens.CONFIG} with {saelens.WEIGHTS}"
    ),
    "sparsify": DictionaryFormat(
        sparsify.matches, sparsify.read, f"{sparsify.CONFIG} with {sparsify.WEIGHTS}"
    ),
    "circuit-tracer": DictionaryFormat(
        circuit_tracer.matches,
        circuit_tracer.read,
        "the file layer_N.safetensors, or W_enc_N.safetensors with W_dec_N",
    ),
    "Gemma Scope": DictionaryFormat(gemma_scope.matches, gemma_scope.read, gemma_scope.FILE),
    "dictionary_learning": DictionaryFormat(
        dictionary_learning.matches,
        dictionary_learning.read,
        " or ".join(dictionary_learning.NAMES),
    ),
}
TRAINING = "training.json"
"""In a folder that `train` wrote, which holds one dictionary in the forms of several tools."""
MAX_LISTED = 8
"""Dictionaries inside a folder that a message names."""
_MAX_DEPTH = 4
"""Folders inside a folder: Gemma Scope has layer_12/width_16k/average_l0_71."""


def read_dictionary(
    source: str | Path, name: str, *, reads: Site | None = None, writes: Site | None = None
) -> Dictionary:
    """Read a dictionary.

    Args:
        source: the folder or file of one dictionary, the folder of a training, or a name: of a
            repository and folder on the Hugging Face hub, or of SAELens' registry.
        name: what to call it, as in `sae.NAME.4512`.
        reads, writes: where it reads and, for a transcoder, writes; needed where its files do not say.

    Raises:
        UsageError: it is not a dictionary of a known format, or its parts do not fit together.
        CorruptError: a file is cut short or damaged.
        UnavailableError: the hub cannot be reached.
    """
    path, given = Path(source).expanduser(), GivenPlaces(reads, writes)
    if path.exists() or not isinstance(source, str):
        path = _first_form(path)
        return format_of(path).read(path, name, given)
    released = resolve_name(source)
    path = fetch(source, released)
    entry = format_of(path)
    if entry is FORMATS["SAELens"]:
        dictionary = saelens.read(path, name, given, released.overrides)
    else:
        dictionary = entry.read(path, name, given)
    if released.scale != 1:
        dictionary = scaled_input(dictionary, released.scale)
    return replace(dictionary, source=source)


def format_of(path: Path) -> DictionaryFormat:
    """The format of a folder or file.

    Raises:
        UsageError: there is no such path, or it is not one dictionary; the message lists those inside.
    """
    if not path.exists():
        raise UsageError(f"there is no folder or file {str(path)!r}; give that of a dictionary")
    for entry in FORMATS.values():
        if entry.matches(path):
            return entry
    if inside := dictionaries_inside(path):
        shown = ", ".join(repr(str(each)) for each in inside[:MAX_LISTED])
        more = f" and {len(inside) - MAX_LISTED} more" if len(inside) > MAX_LISTED else ""
        raise UsageError(
            f"{str(path)!r} holds {len(inside)} dictionaries; give one of them: {shown}{more}"
        )
    kinds = "; ".join(f"{name}: {entry.looks_like}" for name, entry in FORMATS.items())
    raise UsageError(f"{str(path)!r} is no dictionary of a known format ({kinds})")


def _first_form(path: Path) -> Path:
    """One form of the dictionary in a training's folder; any other path as it is."""
    if not (path / TRAINING).is_file():
        return path
    return next(iter(dictionaries_inside(path)), path)


def dictionaries_inside(folder: Path) -> list[Path]:
    """The folders and files below a folder that are dictionaries, in order of their names."""
    return sorted(_search(folder, _MAX_DEPTH), key=_natural)


def _natural(path: Path) -> list[str]:
    """A sorting key under which layer 2 comes before layer 10."""
    return [part.zfill(8) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def _search(folder: Path, depth: int) -> list[Path]:
    matches: list[Path] = []
    if depth == 0 or not folder.is_dir():
        return matches
    for path in folder.iterdir():
        if any(entry.matches(path) for entry in FORMATS.values()):
            matches.append(path)
        elif path.is_dir() and not path.is_symlink():
            matches += _search(path, depth - 1)
    return matches
