"""File handling: atomic writes, the cache folder, downloads from PyPI, JSON values, free memory,
files of strangers.

Not here: what a file holds. Each room reads and writes its own formats.
"""

from __future__ import annotations

from .atomic import atomic_file, atomic_folder, cache_dir, file_sha256, locked, writing

__all__ = ["atomic_file", "atomic_folder", "cache_dir", "file_sha256", "locked", "writing"]
