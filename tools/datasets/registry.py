"""Data sets by name. To add one, write a function with `@dataset` in a file of this folder.

    @dataset("probing/length", "how many words a sentence has, in three classes")
    def sentence_length() -> LabelledTexts: ...

A family of data sets registers its names with `register`. Nothing is fetched or generated before a
data set is read.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import UsageError
from ..rows import kind_of
from .labelled_texts import LabelledTexts
from .tables import read_hub, read_table

MAX_LISTED = 12
Reader = TypeVar("Reader", bound=Callable[..., LabelledTexts])


class NamedDataset(NamedTuple):
    """A data set that is known by name.

    Attributes:
        summary: one line on what the texts are and what the labels say.
    """

    name: str
    summary: str
    read: Callable[[], LabelledTexts]


_DATASETS: dict[str, NamedDataset] = {}


def register(name: str, summary: str, read: Callable[[], LabelledTexts]) -> None:
    """Make a data set known by a name; raises ValueError if the name is taken."""
    if name in _DATASETS:
        raise ValueError(f"data set {name!r} is registered already")
    _DATASETS[name] = NamedDataset(name, summary, read)


def dataset(name: str, summary: str) -> Callable[[Reader], Reader]:
    """Register the function that makes or fetches a data set; it is called without arguments."""

    def decorate(read: Reader) -> Reader:
        register(name, summary, read)
        return read

    return decorate


def datasets() -> dict[str, str]:
    """Every named data set with its one line, in alphabetical order."""
    _discover()
    return {name: _DATASETS[name].summary for name in sorted(_DATASETS)}


def read_dataset(
    name_or_path: str,
    *,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    slices: Sequence[str] = (),
) -> LabelledTexts:
    """Read a data set: a name of `datasets`, a table, or a data set of the hub (`owner/name:split`).

    A table is `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet`. Its columns may be named after `::`,
    as in `reviews.csv::text=review,label=stars,group=author,slices=year+country`.

    Args:
        text, label: columns; by default `text`, `prompt` or `sentence`, and `label`, `target` or
            `class`.
        group: column; by default `group` if there is one.
        slices: columns by which results can be broken down.

    Raises:
        UsageError: no such data set, file or column, or a row without text or label.
        UnavailableError: the package registry or the hub cannot be reached.
    """
    _discover()
    if name_or_path in _DATASETS:
        if text or label or group or slices:
            raise UsageError(
                f"columns given for {name_or_path!r}, which has its own; leave them out"
            )
        return _DATASETS[name_or_path].read()
    spec, _, columns = name_or_path.partition("::")
    path = Path(spec).expanduser()
    if path.exists() or kind_of(path) is not None:
        return read_table(path, columns, text=text, label=label, group=group, slices=slices)
    family = spec.split("/")[0]
    relatives = [name for name in sorted(_DATASETS) if name.startswith(f"{family}/")]
    if relatives or "/" not in spec:
        raise UsageError(f"no data set {name_or_path!r}; {_known(relatives)}")
    return read_hub(spec, columns, text=text, label=label, group=group, slices=slices)


def _known(relatives: Sequence[str]) -> str:
    names = relatives or sorted({f"{name.split('/')[0]}/..." for name in _DATASETS})
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    listed = ", ".join(names[:MAX_LISTED]) + more
    return f"there are {listed}; or give a .csv, .jsonl or .parquet file"


@cache
def _discover() -> None:
    package = import_module(__package__ or "hubel.tools.datasets")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
