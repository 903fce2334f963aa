"""Opens files of strangers: regular files only, inside a folder, up to a size, and never waiting.

A run, an index, a corpus or a subject may come from another person. Then a name in it can be a FIFO
(opening it waits forever), a device, or a link to a file elsewhere that would be shown or
overwritten, and its size may be anything.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO


class IrregularFileError(OSError):
    """A path is not a regular file inside its folder, or is too large. `str(error)` says which."""


def open_regular(
    path: Path, *, inside: Path | None = None, max_bytes: int | None = None
) -> IO[bytes]:
    """Open a file for reading, as bytes.

    Args:
        path: a link is followed, unless `inside` is given and it leads out of that folder.
        inside: the folder that the file must be in.
        max_bytes: the largest size that is opened; None means any.

    Raises:
        IrregularFileError: it is a folder, FIFO, socket or device, outside of `inside`, or too large.
        OSError: it cannot be opened.
    """
    if inside is not None:
        check_inside(path, inside)
    # O_NONBLOCK: a FIFO without a writer would block. It has no effect on regular files.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor), path, max_bytes)
        return os.fdopen(descriptor, "rb")
    except BaseException:  # Ctrl-C too: close the file, then raise again
        with suppress(OSError):
            os.close(descriptor)
        raise


def read_regular(path: Path, max_bytes: int, *, inside: Path | None = None) -> bytes:
    """The bytes of a file of at most `max_bytes`; raises like `open_regular`."""
    with open_regular(path, inside=inside, max_bytes=max_bytes) as file:
        content = file.read(max_bytes + 1)  # it may have grown since its size was checked
    if len(content) > max_bytes:
        raise IrregularFileError(errno.EFBIG, _too_large(max_bytes), str(path))
    return content


def check_regular(path: Path, *, inside: Path | None = None, max_bytes: int | None = None) -> None:
    """Raise like `open_regular`, for a file that a library opens by its path."""
    if inside is not None:
        check_inside(path, inside)
    _check(path.stat(), path, max_bytes)


def check_inside(path: Path, folder: Path) -> None:
    """Raise IrregularFileError if a path, with links followed, leads out of a folder."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise IrregularFileError(errno.EPERM, f"a link that leads out of {folder}", str(path))


def make_inside(path: Path, folder: Path) -> None:
    """Make a folder to write to, inside another one, which may be another person's.

    Raises:
        IrregularFileError: it leads out of that folder, or is not a folder.
    """
    check_inside(path, folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise IrregularFileError(
            errno.ENOTDIR, "not a folder, where a folder is needed", str(path)
        ) from None


def _check(status: os.stat_result, path: Path, max_bytes: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a FIFO, socket or device"
        raise IrregularFileError(errno.EINVAL, f"{kind}, where a file is expected", str(path))
    if max_bytes is not None and status.st_size > max_bytes:
        raise IrregularFileError(errno.EFBIG, _too_large(max_bytes), str(path))


def _too_large(max_bytes: int) -> str:
    return f"larger than the {max_bytes:,} bytes that are read of such a file"
