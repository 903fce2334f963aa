"""The data files of a run: their hashes are events, written with them and checked before they are used.

    file    id: the path inside the run's folder; data {"sha256", "bytes"}

A file without such an event is not checked: its run is older than hashes, or was stopped between the
file and its event. In the second case `hubel resume` makes the file again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import CorruptError
from ...tools.files import file_sha256
from ...tools.files.regular_file import IrregularFileError, check_regular
from .chain import FILE, check_log
from .layout import (
    CIRCUIT,
    CIRCUIT_ARRAYS,
    CIRCUIT_DRAWING,
    CIRCUIT_IMPORTED,
    CIRCUIT_REPORT,
    COLLECTED,
    CONFIG,
    EXPLANATIONS,
    LEXICON,
    MEASURED,
    STUDY,
    SUITE,
    TRANSFER,
    run_argument,
)
from .reviews import Reviews

if TYPE_CHECKING:
    from .log import RunLog

_RESTORE = "restore it from a copy, or start a new run"
_IMPORT_AGAIN = "delete {run} and import it again"
_WRITE_AGAIN = "delete it and `hubel resume {run}`, which writes it again"
_CURES = {
    CONFIG: _RESTORE,
    SUITE: _RESTORE,
    CIRCUIT_IMPORTED: _RESTORE,
    COLLECTED: "delete it and `hubel resume {run}`, which collects it again",
    TRANSFER: "delete it, and it is collected again",
    LEXICON: "delete the folder and `hubel resume {run}`, which writes it again",
    CIRCUIT: _WRITE_AGAIN,
    CIRCUIT_DRAWING: _WRITE_AGAIN,
    CIRCUIT_REPORT: _WRITE_AGAIN,
    STUDY: _WRITE_AGAIN,
    EXPLANATIONS: _IMPORT_AGAIN,
    MEASURED: "delete it and `hubel resume {run}`, which measures it again",
    CIRCUIT_ARRAYS: "delete it and `hubel resume {run}`, which measures it again",
}
"""What to do about a damaged file, by the first part of its path."""


def record_file(log: RunLog, name: str) -> None:
    """Write the hash of a file that is complete now; `name` is its path inside the run's folder."""
    row = file_row(log.folder / name)
    if log.get(FILE, id=name) != row:
        log.write(FILE, row, id=name)


def file_row(path: Path) -> dict[str, Any]:
    """What is recorded of a file."""
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}


def record_inputs(log: RunLog) -> None:
    """Write the hashes of what a run starts from, as the first events of its log.

    Raises:
        CorruptError: one of these files has changed since.
    """
    begins = log.is_empty
    for name in (CONFIG, SUITE, CIRCUIT_IMPORTED):
        if begins and (log.folder / name).exists():
            record_file(log, name)
        check_recorded(log, name)


def keep_recorded_files(log: RunLog, folder: str, say: Callable[[str], None]) -> None:
    """Check the files of a folder, and delete those that were being written when the run was stopped.

    Without a hash it is unknown whether such a file is whole. In logs from before the chain no file has
    one, and all are kept.

    Raises:
        CorruptError: a file has changed since it was written.
    """
    if not log.is_chained:
        return
    for path in sorted((log.folder / folder).glob("*.safetensors")):
        name = f"{folder}/{path.name}"
        if log.get(FILE, id=name) is None:
            say(f"{name} has no hash in the log, because the run was stopped: it is made again")
            path.unlink()
        else:
            check_recorded(log, name)


def check_recorded(log: RunLog, name: str) -> None:
    """Compare a file with its hash in an open log; raises as `check_file` does."""
    row = log.get(FILE, id=name)
    _compare(log.folder, name, {row["sha256"]} if row else set())


def check_file(folder: Path, name: str) -> Path:
    """The path of a file in a run's folder, compared with its hash in the log; once per process.

    A file that was collected for a review has its hash there.

    Raises:
        CorruptError: it was changed after it was written, or the log is damaged.
    """
    return _compare(folder, name, _recorded_hashes(folder, name))


def is_whole(folder: Path, name: str) -> bool:
    """Whether the log says that a file is complete: it has its hash, or is from before the chain."""
    return bool(check_log(folder).unchained or _recorded_hashes(folder, name))


def check_hash(folder: Path, name: str, hash: str) -> None:
    """Compare a file of a run's folder with a hash; raises as `check_file` does."""
    _compare(folder, name, {hash})


def files_in(folder: Path, part: str) -> list[str]:
    """Paths in a run's folder of the files in one part of it; hidden files are still being written."""
    paths = sorted((folder / part).glob("*"))
    return [f"{part}/{path.name}" for path in paths if not path.name.startswith(".")]


def _recorded_hashes(folder: Path, name: str) -> set[str]:
    hashes = {check_log(folder).files.get(name)}
    if Path(name).parts[0] == TRANSFER:
        hashes.add(Reviews(folder).files().get(name))
    return {hash for hash in hashes if hash}


def check_folder(folder: Path, name: str, begin: str = "") -> None:
    """Compare all files of a folder that the log names; raises as `check_file` does.

    Args:
        begin: only those whose names begin like this.
    """
    for file in check_log(folder).files:
        if file.startswith(f"{name}/{begin}"):
            check_file(folder, file)


def _compare(folder: Path, name: str, expected: Collection[str]) -> Path:
    path = folder / name
    if not expected:
        return path
    cure = _CURES.get(Path(name).parts[0], _RESTORE).format(run=run_argument(folder))
    try:
        check_regular(path)
        status = path.stat()
    except FileNotFoundError:
        raise CorruptError(f"{path} is missing, but the log has its hash; {cure}") from None
    except IrregularFileError as error:
        raise CorruptError(f"{path} is not read: {error.strerror}; {cure}") from None
    if _digest(path.resolve(), status.st_size, status.st_mtime_ns, status.st_ino) not in expected:
        raise CorruptError(
            f"{path} was changed after it was written: it does not have the hash in the log; {cure}"
        )
    return path


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _changed: int, _inode: int) -> str:
    return file_sha256(path)
