"""Outputs of pieces that are read back: written in one step, with the hash of their bytes in front."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...tools.errors import CorruptError
from ...tools.files import atomic_file


def write_checked(path: Path, content: bytes) -> None:
    """Write a line with the hash of the content, and the content."""
    digest = hashlib.sha256(content).hexdigest().encode()
    with atomic_file(path) as part, part.open("wb") as file:
        file.write(digest + b"\n")
        file.write(content)


def read_checked(path: Path) -> bytes:
    """The content; raises CorruptError if it is not what was written."""
    digest, _, content = path.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest() != digest.decode(errors="replace"):
        raise CorruptError(
            f"{path} is not what a worker wrote: delete it and resume the run, which does it again"
        )
    return content
