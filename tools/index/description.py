"""Completes an index: writes `index.json` from what its splits left in the working folder."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from ... import __version__
from ..corpus import SPLITS, Split
from ..errors import CorruptError
from ..files.checked_file import FileHashes
from ..files.sealed_json import read_sealed, write_sealed
from .index import IndexSummary
from .index_files import VOCABULARY
from .pass_clock import PassClock


class MergedFrom(NamedTuple):
    """What an index that was merged records of its shards.

    Attributes:
        shards: how many there were.
        versions: of what computed them.
        peak_rss_mb: the largest of their processes.
    """

    shards: int
    versions: dict[str, str]
    peak_rss_mb: float


def complete_index(
    out: Path,
    settings: Mapping[str, Any],
    n_contexts: Mapping[Split, int],
    *,
    tokens: int,
    units: int,
    clock: PassClock,
    merged: MergedFrom | None = None,
) -> IndexSummary:
    """Write an index's description and delete its working folder; all other files are there.

    Args:
        settings: what determines the content of the index (`index_settings`).
        merged: the shards of which it is made; `clock` has the sum of their times then.

    Raises:
        CorruptError: a split's list of files is damaged.
    """
    files = {VOCABULARY: FileHashes.of(out / VOCABULARY).to_json()}
    for split in SPLITS:
        of_split = read_work_file(out, f"{split}-files.json")["files"]
        files |= {f"{split}/{name}": record for name, record in of_split.items()}
    summary = IndexSummary(
        tokens=tokens,
        units=units,
        forward_seconds=clock.forward_seconds,
        total_seconds=clock.total_seconds,
        peak_rss_mb=max(peak_rss_mb(), merged.peak_rss_mb if merged else 0),
        bytes=sum(record["bytes"] for record in files.values()),
    )
    content = {
        **settings,
        "n_contexts": n_contexts,
        "versions": merged.versions if merged else versions(),
        "summary": asdict(summary),
        "files": files,
    }
    if merged:
        content["shards"] = merged.shards
    write_sealed(out / "index.json", content)
    shutil.rmtree(out / "work")
    return summary


def read_work_file(out: Path, name: str) -> dict[str, Any]:
    """A file of an index's working folder; raises CorruptError if it is not what was written."""
    path = out / "work" / name
    try:
        return read_sealed(path)
    except (OSError, ValueError) as error:
        raise CorruptError(
            f"{path} is damaged ({error}); delete {out} and build the index again"
        ) from error


def versions() -> dict[str, str]:
    """The versions of what computes and writes an index."""
    names = ("torch", "transformers", "numpy", "pyarrow")
    return {name: version(name) for name in names} | {"hubel": __version__}


def peak_rss_mb() -> float:
    """The process's peak resident set size in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # Linux counts in kB
