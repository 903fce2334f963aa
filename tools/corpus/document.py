"""A document, and a source of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Document(NamedTuple):
    """A text whose contexts all belong to one split."""

    id: str
    text: str


class DocumentSource(NamedTuple):
    """Documents that can be read repeatedly."""

    title: str
    sha256: str
    read: Callable[[], Iterator[Document]]
