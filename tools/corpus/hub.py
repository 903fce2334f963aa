"""Documents streamed from a data set on the Hugging Face hub, through the optional `datasets`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import UnavailableError, UsageError
from .document import Document, DocumentSource


def source(spec: str, embedded: Sequence[str]) -> DocumentSource:
    """A data set's text column; ``owner/name`` reads its split `train`, ``owner/name:test`` `test`.

    Raises:
        UnavailableError: `datasets` is missing, or the hub or the data set is not available.
    """
    name, _, split = spec.partition(":")
    hint = f"{spec!r} is no embedded corpus ({', '.join(embedded)}) and no file here"
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UnavailableError(
            f"{hint}; to read it from the hub: pip install 'hubel[hub]'"
        ) from error
    try:
        rows: Any = datasets.load_dataset(name, split=split or "train", streaming=True)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UnavailableError(f"{hint}; from the hub it cannot be had: {reason}") from error
    return DocumentSource(
        f"{name} ({split or 'train'})", _fingerprint(rows, spec), lambda: _documents(rows, spec)
    )


def _fingerprint(rows: Any, spec: str) -> str:
    version = getattr(getattr(rows, "info", None), "version", "")
    return hashlib.sha256(f"{spec}\0{version}".encode()).hexdigest()


def _documents(rows: Any, spec: str) -> Iterator[Document]:
    for number, row in enumerate(rows):
        text = row.get("text")
        if not isinstance(text, str):
            raise UsageError(
                f"{spec!r} has the columns {', '.join(row)}; a column 'text' of strings is needed"
            )
        yield Document(str(row.get("id") or number), text)
