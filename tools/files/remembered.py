"""Facts that take long to find out, remembered in the cache under what they depend on.

A note only saves time. One that is missing, damaged, about something else or not even a file counts
as none, and one that cannot be written is left out.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import UnavailableError
from .atomic import cache_dir, file_sha256
from .regular_file import read_regular
from .sealed_json import check_seal, write_sealed

MAX_BYTES = 1 << 16
"""Of a note, which has some hundred."""
TOO_FRESH = 100_000_000
"""Nanoseconds. A file that was changed this recently may change again without a new time: clocks of
file systems advance every 4 to 10 ms."""


def read_note(kind: str, about: Mapping[str, Any]) -> Any:
    """What was noted about something, or None.

    Args:
        kind: the cache's folder of such notes, such as "hashes".
        about: everything that the fact depends on, as plain JSON values.
    """
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(read_regular(_path(kind, about), MAX_BYTES))
        check_seal(content)
        if content.get("about") == about:
            return content.get("fact")
    return None


def write_note(kind: str, about: Mapping[str, Any], fact: Any) -> None:
    """Remember a fact, a plain JSON value, for `read_note`."""
    with suppress(UnavailableError, OSError):
        write_sealed(_path(kind, about), {"about": about, "fact": fact})


def remembered_sha256(path: Path) -> str:
    """A file's SHA-256, computed once for each state of the file: its size, times and inode.

    Whatever writes to a file changes the time of its last change, which no program can set. Only
    damage to the disk itself goes unnoticed.
    """
    target = path.resolve()
    status = target.stat()
    about = {
        "path": str(target),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
    }
    noted = read_note("hashes", about)
    if isinstance(noted, str):
        return noted
    is_fresh = time.time_ns() - status.st_ctime_ns < TOO_FRESH
    value = file_sha256(target)
    if not is_fresh:
        write_note("hashes", about, value)
    return value


def _path(kind: str, about: Mapping[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    return cache_dir() / kind / name
