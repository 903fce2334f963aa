"""Writing files and folders so that nothing is ever half-made.

A file or folder is written under a hidden name beside its place (`.NAME.part-PID-...`) and moved
there in one step once it is whole; what a killed process left is swept away by the next one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from ..errors import UnavailableError

_REASONS = {
    errno.ENOSPC: "no space is left on the disk: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EACCES: "no permission: change its owner or mode",
    errno.EPERM: "no permission: change its owner or mode",
    errno.EROFS: "the disk is read-only: choose another place",
    errno.ENOTDIR: "a part of this path is a file: move it away",
    errno.EEXIST: "a file of that name is in the way: move it away",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission inside the block into an UnavailableError of one line about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise UnavailableError(
            f"cannot write {str(path)!r}: {_REASONS[error.errno]}, or set HUBEL_CACHE to a folder elsewhere"
        ) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill; it takes the place of `path` when the block ends well and vanishes when it does not."""
    with writing(path), _part(path) as part:
        part.mkdir()
        yield part
        if path.exists():
            path.rename(part.with_name(part.name + "-old"))
        part.rename(path)
        shutil.rmtree(part.with_name(part.name + "-old"), ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write a new file at; it takes the place of `path` when the block ends well, else it vanishes."""
    with writing(path), _part(path) as part:
        yield part
        part.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder on the disk of `path`, for work towards it; it vanishes when the block ends."""
    with writing(path), _part(path) as part:
        part.mkdir()
        yield part


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the right to make `path`, so that processes started side by side make it once."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def file_sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    free = path.with_name(f".{path.name}.part-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield free
    finally:
        for left in path.parent.glob(f"{free.name}*"):
            _remove(left)


def _sweep(path: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(path.name)}\.part-(\d+)-.*")
    for left in path.parent.iterdir():
        if (match := pattern.fullmatch(left.name)) and not _alive(int(match[1])):
            _remove(left)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
