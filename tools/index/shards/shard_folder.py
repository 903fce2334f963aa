"""The folder of a finished shard.

    shard.json                        which part it is, of what, what computed it, and the hashes of
                                      its files
    explore/ select/ holdout/         see `shard_pass`
    store/                            its rows of the activation store, in the order of its batches
    vocabulary.parquet, directions.safetensors      in the first shard

While a shard is computed it is in a folder next to it, `PART.unfinished`.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...corpus import SPLITS, Split
from ...errors import CorruptError, UsageError
from ...files.checked_file import FileHashes, check_file, check_size
from ...files.sealed_json import read_sealed, write_sealed
from ..activation_store.layout import DESCRIPTION as STORE_DESCRIPTION
from ..activation_store.layout import STORE, store_folder
from ..description import peak_rss_mb, read_work_file, versions
from ..index import IndexSummary
from ..index_files import DIRECTIONS, VOCABULARY, files_from_json, files_to_json
from ..pass_clock import PassClock
from .shard import Shard

DESCRIPTION = "shard.json"
FORMAT = 2
"""Of a shard's files, and of which batches it has; merged are those of one format."""
UNFINISHED = ".unfinished"
ENVIRONMENTS = "environments.json"
"""Of the working folder: on what the shard was computed, from start to start."""


@dataclass(frozen=True)
class ShardFolder:
    """A finished shard.

    Attributes:
        settings: what determines the content of the index, as one process has it.
        dtype: in which the subject computed.
        versions: of what computed it; `environments`: where, one for each kind of machine.
        clock: how long it took; `summary`: what it cost, with its own tokens.
        tokens: of the whole corpus; `units`: of the index.
    """

    path: Path
    shard: Shard
    settings: dict[str, Any]
    dtype: str
    versions: dict[str, str]
    environments: tuple[dict[str, Any], ...]
    clock: PassClock
    summary: IndexSummary
    tokens: int
    units: int
    n_contexts: dict[Split, int]
    hashes: dict[str, FileHashes]

    @classmethod
    def open(cls, path: Path) -> ShardFolder:
        """Open a shard, and check the sizes of its files.

        Raises:
            UsageError: the folder does not hold a finished shard.
            CorruptError: it is damaged.
        """
        if not (path / DESCRIPTION).exists():
            raise UsageError(_what_is_there(path))
        try:
            content = read_sealed(path / DESCRIPTION)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
            folder = cls(
                path,
                Shard(*content["shard"]),
                content["settings"],
                content["dtype"],
                content["versions"],
                tuple(content["environments"]),
                PassClock(**content["clock"]),
                IndexSummary(**content["summary"]),
                content["tokens"],
                content["units"],
                {split: content["n_contexts"][split] for split in SPLITS},
                files_from_json(content["files"]),
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CorruptError(
                f"{path / DESCRIPTION} is damaged, or another hubel wrote it ({error}); "
                f"delete {path} and compute that shard again"
            ) from error
        for name, hashes in folder.hashes.items():
            check_size(path / name, hashes, folder.cure)
        return folder

    @property
    def cure(self) -> str:
        """What to do about a damaged file, for the end of a message."""
        return f"delete {self.path} and compute shard {self.shard} again"

    def file(self, name: str) -> Path:
        """A file's path; raises CorruptError unless it is what was written."""
        if name not in self.hashes:
            raise CorruptError(f"{self.path} has no {name}; {self.cure}")
        check_file(self.path / name, self.hashes[name], self.cure)
        return self.path / name

    @property
    def has_store(self) -> bool:
        """Whether it has its rows of the activation store."""
        return all(f"{STORE}/{split}/{STORE_DESCRIPTION}" in self.hashes for split in SPLITS)


def unfinished(out: Path) -> Path:
    """Where a shard is until it is finished."""
    return out.with_name(out.name + UNFINISHED)


def finish_shard(
    work: Path, out: Path, shard: Shard, content: dict[str, Any], clock: PassClock, tokens: int
) -> IndexSummary:
    """Describe a shard, and put it in its place.

    Args:
        work: its unfinished folder.
        content: the entries of the description that do not follow from the folder.
        tokens: that the shard has read.
    """
    environments = read_work_file(work, ENVIRONMENTS)["environments"]
    files = _hashes(work)
    kept = (
        path for path in work.rglob("*") if path.is_file() and work / "work" not in path.parents
    )
    summary = IndexSummary(
        tokens=tokens,
        units=content["units"],
        forward_seconds=clock.forward_seconds,
        total_seconds=clock.total_seconds,
        peak_rss_mb=peak_rss_mb(),
        bytes=sum(path.stat().st_size for path in kept),
    )
    description = {
        "format": FORMAT,
        "shard": [shard.number, shard.count],
        **content,
        "versions": versions(),
        "environments": environments,
        "clock": clock.to_json(),
        "summary": asdict(summary),
        "files": files_to_json(files),
    }
    write_sealed(work / DESCRIPTION, description)
    place_shard(work, out)
    return summary


def place_shard(work: Path, out: Path) -> None:
    """Put a described shard in its place; may be repeated after a kill."""
    shutil.rmtree(work / "work", ignore_errors=True)
    work.rename(out)


def _hashes(work: Path) -> dict[str, FileHashes]:
    """The hashes of a shard's files, but for those that have checksums of their own."""
    files: dict[str, FileHashes] = {}
    for split in SPLITS:
        of_split = files_from_json(read_work_file(work, f"{split}-files.json")["files"])
        files |= {f"{split}/{name}": hashes for name, hashes in of_split.items()}
    of_stores = [store_folder(work, split) / STORE_DESCRIPTION for split in SPLITS]
    for path in (work / VOCABULARY, work / DIRECTIONS, *of_stores):
        if path.exists():
            files[path.relative_to(work).as_posix()] = FileHashes.of(path)
    return files


def _what_is_there(path: Path) -> str:
    """Why a folder is no finished shard, and what to do."""
    if unfinished(path).exists() or path.name.endswith(UNFINISHED):
        return f"{str(path)!r} is not finished: repeat the same `hubel index --shard` to finish it"
    if not path.exists():
        return f"no shard at {str(path)!r}; make it: hubel index --shard N/COUNT --out {path} ..."
    if (path / "index.json").exists():
        return f"{str(path)!r} holds a whole index, not a shard of one; give the folders of shards"
    return f"{str(path)!r} holds no shard (it has no {DESCRIPTION}); give the folders of shards"
