"""Fetches a dictionary by its name on the Hugging Face hub, or by its name in SAELens' registry."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..errors import UnavailableError, UsageError
from .registry import ReleasedDictionary, find_release, registry_path

_NAME = re.compile(r"[\w.-]+(?:/[\w.=-]+)+")
FILES = (
    "cfg.json", "sae_weights.safetensors", "sae.safetensors", "params.npz", "ae.safetensors", "ae.pt",
    "config.json",
)  # fmt: skip
"""What a folder of one dictionary can hold; nothing else of a repository is fetched."""


def resolve_name(name: str) -> ReleasedDictionary:
    """Where a named dictionary is: `RELEASE/ID` of the registry, else `OWNER/REPOSITORY[/FOLDER]`.

    Raises:
        UsageError: it is no such name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"there is no folder or file {name!r}, and it is no name on a hub; give a path, "
            "OWNER/REPOSITORY/FOLDER, or RELEASE/ID of SAELens' registry"
        )
    path = registry_path()
    if path is not None and (released := find_release(name, path)):
        return released
    owner, repository, *rest = name.split("/")
    return ReleasedDictionary(f"{owner}/{repository}", "/".join(rest), {})


def fetch(name: str, released: ReleasedDictionary) -> Path:
    """The folder or file of a dictionary in the hub's cache, fetched if needed.

    Raises:
        UsageError: the hub has no such repository or folder.
        UnavailableError: the hub cannot be reached, or the repository is gated.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    repository, patterns = released.repository, _patterns(released.path)
    endpoint = os.environ.get("HF_ENDPOINT")  # read when asked, so that a mirror may be named late
    try:
        with _no_bars():
            root = Path(snapshot_download(repository, allow_patterns=patterns, endpoint=endpoint))
    except GatedRepoError as error:
        raise UnavailableError(
            f"{repository!r} is gated: accept its terms on the hub and set HF_TOKEN"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        hint = "" if registry_path() else "; names of SAELens' registry need `pip install sae-lens`"
        raise UsageError(f"no dictionary {name!r}: the hub has no {repository!r}{hint}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise UnavailableError(
            f"no folder {name!r} here, and the Hugging Face hub cannot be reached: check the network, or "
            "give the folder of a dictionary"
        ) from error
    path = root / released.path if released.path else root
    if not path.exists():
        raise UsageError(
            f"{repository!r} on the hub has no dictionary {released.path!r}; look at its files there"
        )
    return path


def _patterns(path: str) -> list[str]:
    """The files of one dictionary."""
    inside = PurePosixPath(path)
    if inside.suffix not in (".safetensors", ".pt", ".npz"):
        return [str(inside / file) for file in FILES]
    companions = ("config.yaml", "config.json", inside.name.replace("W_enc", "W_dec"))
    return [path, *(str(inside.with_name(file)) for file in companions)]


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the hub's own progress bars."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    had_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if had_bars:
            enable_progress_bars()
