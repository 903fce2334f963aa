"""Documents streamed from a data set on the Hugging Face hub, through the optional `datasets`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import UnavailableError
from ..rows import Row
from .document import Document, DocumentSource
from .files import row_document


def source(spec: str, text_column: str, embedded: Sequence[str]) -> DocumentSource:
    """A data set's text column; ``owner/name`` reads its split `train`, ``owner/name:test`` `test`.

    Raises:
        UnavailableError: `datasets` is not installed, or the hub or the data set is not available.
    """
    name, _, split = spec.partition(":")
    hint = f"{spec!r} is neither an embedded corpus ({', '.join(embedded)}) nor a file here"
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UnavailableError(
            f"{hint}; to read it from the hub: pip install 'hubel[hub]'"
        ) from error
    try:
        rows: Any = datasets.load_dataset(name, split=split or "train", streaming=True)
    except (
        Exception
    ) as error:  # whatever datasets and the hub's client raise for a name or a network
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UnavailableError(f"{hint}; the hub does not give it: {reason}") from error
    return DocumentSource(
        f"{name} ({split or 'train'})",
        _fingerprint(rows, spec),
        lambda: _documents(rows, spec, text_column),
    )


def _fingerprint(rows: Any, spec: str) -> str:
    version = getattr(getattr(rows, "info", None), "version", "")
    return hashlib.sha256(f"{spec}\0{version}".encode()).hexdigest()


def _documents(rows: Any, spec: str, text_column: str) -> Iterator[Document]:
    for number, row in enumerate(rows):
        yield row_document(Row(f"{spec}, row {number + 1}", row), text_column, str(number))
