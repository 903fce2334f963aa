"""The table of formats: each is one file of `formats/`, imported when it is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from .losses import Kind
from .places import PlaceNames
from .records import ExplanationSet

if TYPE_CHECKING:
    from .run_texts import RunTexts

_FILES = {
    "delphi": "delphi",
    "neuronpedia": "neuronpedia",
    "openai": "openai",
    "inspect": "inspect_log",
    "saebench": "saebench",
    "saelens": "saelens_dashboard",
    "csv": "table",
    "jsonl": "table",
    "parquet": "table",
    "latex": "latex",
}
"""Name of a format to its file in `formats/`."""
WRITTEN = (
    "delphi",
    "neuronpedia",
    "openai",
    "inspect",
    "saebench",
    "csv",
    "jsonl",
    "parquet",
    "latex",
)
READ = ("delphi", "neuronpedia", "openai", "saelens", "csv", "jsonl", "parquet")


@dataclass(frozen=True)
class ReadOptions:
    """What a reader gets in addition to the path."""

    places: PlaceNames
    vocabulary: Sequence[str] = ()
    """Token texts by id, of the index that was given; empty without one."""


@dataclass(frozen=True)
class ExchangeFormat:
    """A format: what it holds, and how it is written and read, as far as it is."""

    name: str
    title: str
    holds: Collection[Kind] = ()
    suffixes: tuple[str, ...] = ()
    """Of its files; empty if it is a folder."""
    write: Callable[[ExplanationSet, Path, RunTexts | None], list[str]] | None = None
    """Writes to a new path, and returns lines about what was left out or cut in addition to `losses`."""
    read: Callable[[Path, ReadOptions], ExplanationSet] | None = None
    recognises: Callable[[Path], bool] = lambda path: False
    """Whether a path looks like a file or folder of this format."""


def find_format(name: str, *, to: bool) -> ExchangeFormat:
    """The format of a name.

    Args:
        to: whether it is to be written; else it is to be read.

    Raises:
        UsageError: there is none, or it is not written, or not read.
    """
    names = WRITTEN if to else READ
    if name not in names:
        done = "written" if to else "read"
        other = " (it is read only)" if to and name in READ else ""
        other = " (it is written only)" if not to and name in WRITTEN else other
        raise UsageError(f"{name!r} is not {done}{other}; {done} are {', '.join(names)}")
    return _load(name)


def recognise(path: Path) -> ExchangeFormat:
    """The format of a file or folder of another tool.

    Raises:
        UsageError: there is no such path, or it is of no known format.
    """
    if not path.exists():
        raise UsageError(f"no file or folder at {str(path)!r}")
    for name in READ:
        candidate = _load(name)
        if candidate.recognises(path):
            return candidate
    what = "a folder" if path.is_dir() else "a file"
    raise UsageError(
        f"{path} is {what} of no known format; say which it is with --from: {', '.join(READ)}"
    )


def _load(name: str) -> ExchangeFormat:
    module = import_module(f".formats.{_FILES[name]}", __package__)
    formats: tuple[ExchangeFormat, ...] = module.FORMATS
    return next(candidate for candidate in formats if candidate.name == name)
