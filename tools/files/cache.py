"""The folder where fetched and converted things are kept, and what is needed to put something there."""

from __future__ import annotations

import os
from pathlib import Path

from .atomic import atomic_file, atomic_folder, file_sha256, locked, writing
from .pypi import fetch_from_registry

__all__ = [
    "atomic_file",
    "atomic_folder",
    "cache_dir",
    "fetch_from_registry",
    "file_sha256",
    "locked",
    "writing",
]


def cache_dir() -> Path:
    """`HUBEL_CACHE`, else `XDG_CACHE_HOME/hubel`, else `~/.cache/hubel`; it need not exist yet."""
    if own := os.environ.get("HUBEL_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "hubel"
