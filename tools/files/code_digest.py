"""A hash of source files: cached results are named after the code that made them."""

from __future__ import annotations

import hashlib
from pathlib import Path


def code_digest(*folders: Path) -> str:
    """SHA-256 of all Python files below some folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder).as_posix().encode()
            digest.update(name + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
