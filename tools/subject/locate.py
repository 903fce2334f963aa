"""Where a subject's files are: the embedded models' cache, a local folder, or the hub's cache."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from ..errors import UnavailableError, UsageError
from ..files.remembered import remembered_sha256
from . import embedded
from .folder import check_folder, check_not_a_file
from .gguf_file import gguf_folder, gguf_title, is_gguf
from .quantised_folder import (
    SMALL_FILES,
    dequantised_folder,
    dequantised_title,
    is_dequantisable,
)
from .silence_transformers import silence

_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def subject_folder(
    name: str,
    revision: str | None,
    progress: Callable[[str], None] = lambda line: None,
    *,
    weights: bool = True,
) -> Path:
    """A subject's folder, fetched if needed.

    Args:
        weights: whether its weights are needed, as numbers: a quantised folder is then dequantised.

    Raises:
        UsageError: there is no such subject.
        UnavailableError: the hub or registry cannot be reached, or the disk is full.
    """
    if name in embedded.EMBEDDED:
        return embedded.embedded_folder(progress, embedded.EMBEDDED[name])
    if os.path.isdir(name):  # unlike Path.is_dir, False for a name that cannot be a path
        return _plain_folder(Path(name), name, progress) if weights else Path(name)
    if is_gguf(name):
        return gguf_folder(Path(name), progress)
    check_not_a_file(name)
    progress(f"looking for {name} on the Hugging Face hub")
    folder = _from_hub(name, revision, (*SMALL_FILES, *(["*.safetensors"] if weights else [])))
    return _plain_folder(folder, name, progress) if weights else folder


def subject_title(name: str, folder: Path) -> str:
    """A subject's name in reports.

    Args:
        folder: of its weights as numbers.
    """
    if name in embedded.EMBEDDED:
        return embedded.EMBEDDED[name].title
    if is_gguf(name):
        return gguf_title(Path(name))
    title = Path(name).resolve().name if os.path.isdir(name) else name
    return dequantised_title(title, folder)


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a folder's weights; of several files, of their hashes."""
    hashes = [_hash_of(path) for path in sorted(folder.glob("*.safetensors"))]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _plain_folder(folder: Path, name: str, progress: Callable[[str], None]) -> Path:
    """The folder, or the one with its weights as numbers if they are codes."""
    if not is_dequantisable(folder):
        return folder
    check_folder(folder)
    return dequantised_folder(folder, weights_sha256(folder), name, progress)


def _from_hub(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    names = " or ".join(map(repr, embedded.EMBEDDED))
    sources = f"the embedded {names}, a local folder, or a model on the Hugging Face hub"
    if not _HUB_NAME.fullmatch(name):
        raise UsageError(f"no subject {name!r}: there is no such folder; expected {sources}")
    try:
        with silence():
            return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise UnavailableError(
            f"{name!r} is gated: accept its terms on the hub and set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(
            f"{name!r} has no revision {revision!r} on the hub; leave it out or correct it"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(f"no subject {name!r} on the hub; expected {sources}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise UnavailableError(
            f"no subject {name!r} here, and the Hugging Face hub cannot be reached: "
            f"check the network, or give {sources}"
        ) from error


def _hash_of(path: Path) -> str:
    """A file's SHA-256; the hub's cache names files by it."""
    target = path.resolve()
    return target.name if _SHA256.fullmatch(target.name) else remembered_sha256(target)
