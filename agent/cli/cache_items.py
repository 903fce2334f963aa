"""The items in the cache: one per folder or file `KIND/NAME`, with its size and whether it is complete.

The activation store of an index `indexes/NAME` is a separate item, `stores/NAME`, since the index
works without it. The store of an index elsewhere is named by the path of the index.
"""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

from ...tools.files import cache_dir, file_sha256
from ...tools.files.regular_file import read_regular

INDEXES, STORES = "indexes", "stores"
MAX_MANIFEST = 1 << 20
"""Bytes of a manifest, which lists a few files."""


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
    listed: list[Item] = []
    for kind in _visible(root):
        for path in _visible(kind) if kind.is_dir() else [kind]:
            store = store_item(path, path.name) if kind.name == INDEXES else None
            size = disk_bytes(path) - (store.bytes if store else 0)
            listed.append(Item(kind.name, path.name, path, size, is_whole(path, thorough=thorough)))
            if store:
                listed.append(store)
    return sorted(listed, key=lambda item: (item.kind, item.name))


def store_item(index: Path, name: str) -> Item | None:
    """The activation store in an index's folder; None if it has none."""
    from ...tools.corpus import SPLITS
    from ...tools.index.activation_store.layout import DESCRIPTION, STORE

    path = index / STORE
    if not path.is_dir():
        return None
    whole = all((path / split / DESCRIPTION).is_file() for split in SPLITS)
    return Item(STORES, name, path, disk_bytes(path), whole)


def is_whole(path: Path, *, thorough: bool = False) -> bool | None:
    """Whether a folder holds what its `manifest.json` lists; None without one."""
    try:
        files = json.loads(read_regular(path / "manifest.json", MAX_MANIFEST))["files"]
        expected = {path / name: (int(size), str(sha256)) for name, (size, sha256) in files.items()}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    try:
        return all(
            file.is_file()
            and file.stat().st_size == size
            and (not thorough or file_sha256(file) == sha256)
            for file, (size, sha256) in expected.items()
        )
    except (OSError, ValueError):  # an impossible name, or no permission
        return False


def disk_bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder; a link counts as itself, what is gone as nothing."""
    below = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(_own_bytes(file) for file in below)


def _own_bytes(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:  # another process has just deleted it, or no permission
        return 0
    return 0 if stat.S_ISDIR(status.st_mode) else status.st_size


def remove(item: Item) -> None:
    """Delete an item from the disk."""
    if item.path.is_dir() and not item.path.is_symlink():
        shutil.rmtree(item.path, ignore_errors=item.kind == STORES)  # its index may be gone
    else:
        item.path.unlink(missing_ok=True)


def _visible(folder: Path) -> list[Path]:
    """The content of a folder, without locks and unfinished items, whose names begin with a dot."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:  # no folder yet, or no permission
        return []
