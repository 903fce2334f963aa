"""The items in the cache: one per folder or file `KIND/NAME`, with its size and whether it is complete."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from ...tools.files import cache_dir, file_sha256


class Item(NamedTuple):
    """Something in the cache.

    Attributes:
        whole: whether it is complete; None without a manifest that says what it should hold.
    """

    kind: str
    name: str
    path: Path
    bytes: int
    whole: bool | None

    @property
    def label(self) -> str:
        """How the item is listed and named: ``subjects/smollm2-135m``."""
        return self.kind if self.kind == self.name else f"{self.kind}/{self.name}"


def items(root: Path | None = None, *, thorough: bool = False) -> list[Item]:
    """All items, by kind and name.

    Args:
        thorough: compare hashes with the manifest, not only sizes.
    """
    root = root or cache_dir()
    return [
        Item(kind.name, path.name, path, disk_bytes(path), is_whole(path, thorough=thorough))
        for kind in _visible(root)
        for path in (_visible(kind) if kind.is_dir() else [kind])
    ]


def is_whole(path: Path, *, thorough: bool = False) -> bool | None:
    """Whether a folder holds what its `manifest.json` lists; None without one."""
    try:
        files = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["files"]
        expected = {path / name: (int(size), str(sha256)) for name, (size, sha256) in files.items()}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return all(
        file.is_file()
        and file.stat().st_size == size
        and (not thorough or file_sha256(file) == sha256)
        for file, (size, sha256) in expected.items()
    )


def disk_bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def remove(item: Item) -> None:
    """Delete an item from the disk."""
    if item.path.is_dir() and not item.path.is_symlink():
        shutil.rmtree(item.path)
    else:
        item.path.unlink(missing_ok=True)


def _visible(folder: Path) -> list[Path]:
    """The content of a folder, without locks and unfinished items, whose names begin with a dot."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
