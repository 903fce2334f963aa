"""Documents of a data set on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..rows.hub_rows import HubRows, hub_rows
from .document import Document, DocumentSource
from .files import row_document


def source(spec: str, text_column: str, embedded: Sequence[str]) -> DocumentSource:
    """A data set's text column; ``owner/name`` reads its split `train`, ``owner/name:test`` `test`.

    Raises:
        UnavailableError: `datasets` is not installed, or the hub or the data set is not available.
    """
    hint = f"{spec!r} is neither an embedded corpus ({', '.join(embedded)}) nor a file here"
    rows = hub_rows(spec, hint)
    title = f"{rows.name} ({rows.split})"
    return DocumentSource(title, rows.fingerprint, lambda: _documents(rows, text_column))


def _documents(rows: HubRows, text_column: str) -> Iterator[Document]:
    for number, row in enumerate(rows):
        yield row_document(row, text_column, str(number))
