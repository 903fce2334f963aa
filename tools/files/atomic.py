"""Atomic writes: a file or folder is either complete or absent. Also where the cache is.

A file or folder is written under a hidden name in its target's folder (`.NAME.part-PID-HOST-...`)
and renamed in one step once it is complete. The next writer on the same machine removes what a
killed process left.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock

from ..errors import UnavailableError

_REASONS = {
    errno.ENOSPC: "no space is left on the disk: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EFBIG: "the file is larger than the disk or `ulimit -f` allows: raise the limit",
    errno.EACCES: "no permission: change its owner or mode",
    errno.EPERM: "no permission: change its owner or mode",
    errno.EROFS: "the disk is read-only: make it writable",
    errno.ENOTDIR: "a part of this path is a file: move it away",
    errno.EEXIST: "a file of that name is in the way: move it away",
}
DISK_FULL = ("no space left on device", "database or disk is full")
"""How libraries that do not raise OSError (safetensors, sqlite, duckdb) report a full disk."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_ONCE = 1 << 24
"""Bytes that are reserved in one call, which cannot be interrupted."""
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
"""This machine, in names of files."""


def cache_dir() -> Path:
    """`HUBEL_CACHE`, else `XDG_CACHE_HOME/hubel`, else `~/.cache/hubel`; it may not exist yet."""
    if folder := os.environ.get("HUBEL_CACHE"):
        return Path(folder).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "hubel"


def is_full_disk(error: OSError) -> bool:
    """Whether an error means that no more can be written."""
    return error.errno in _FULL


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into a one-line UnavailableError about `path`."""
    try:
        yield
    except Exception as error:
        number = _error_number(error)
        if number not in _REASONS:
            raise
        is_cached = path.absolute().is_relative_to(cache_dir().absolute())
        elsewhere = (
            "set HUBEL_CACHE to a folder elsewhere" if is_cached else "choose another folder"
        )
        raise UnavailableError(
            f"cannot write {str(path)!r}: {_REASONS[number]}, or {elsewhere}"
        ) from error


def _error_number(error: Exception) -> int | None:
    """The operating system's number of an error, if it has one."""
    if isinstance(error, OSError):
        return error.errno
    return errno.ENOSPC if any(sign in str(error).lower() for sign in DISK_FULL) else None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill; it replaces `path` when the block succeeds and is removed when not."""
    with writing(path), _part(path) as part:
        part.mkdir()
        yield part
        # A folder cannot be renamed onto a folder with files in it: move the old one out first.
        old = part.with_name(part.name + "-old")
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path for a new file; it replaces `path` when the block succeeds and is removed when not."""
    with writing(path), _part(path) as part:
        yield part
        part.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder on the same disk as `path`, removed when the block ends."""
    with writing(path), _part(path) as part:
        part.mkdir()
        yield part


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on `path`, so that concurrent processes create it only once."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def reserve(file: IO[bytes], size: int) -> None:
    """Extend a file with zeros to a size for which the disk has room; raises OSError if it has not.

    `truncate` alone makes a file with holes, whose blocks are taken when something is written.
    """
    start = file.seek(0, os.SEEK_END)
    file.flush()
    for place in range(start, size, _AT_ONCE):
        length = min(_AT_ONCE, size - place)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), place, length)
        else:  # macOS
            file.write(bytes(length))
    file.flush()


def file_sha256(path: Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    """A free hidden name for `path` to be written under; whatever is left of it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_parts(path)
    part = path.with_name(f".{path.name}.part-{os.getpid()}-{_HOST}-{secrets.token_hex(4)}")
    try:
        yield part
    finally:
        for leftover in path.parent.glob(f"{part.name}*"):
            _remove(leftover)


def _remove_abandoned_parts(path: Path) -> None:
    """Remove the parts of `path` whose process ran here and no longer does.

    In a folder that machines share, a process of another one may be at work under a number that is
    free here.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.part-(\d+)-{_HOST}-.*")
    for entry in path.parent.iterdir():
        match = pattern.fullmatch(entry.name)
        if match and not _is_running(int(match[1])):
            _remove(entry)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, as another user
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
