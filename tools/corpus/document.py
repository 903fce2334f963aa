"""One piece of text that belongs together, and the source that it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Document(NamedTuple):
    """A text that belongs together: its contexts never leave one split."""

    id: str
    text: str


class DocumentSource(NamedTuple):
    """Text that can be read again and again."""

    title: str
    sha256: str
    read: Callable[[], Iterator[Document]]
