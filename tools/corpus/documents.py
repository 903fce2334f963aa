"""Where text comes from: the two embedded corpora, a file, or a data set of the Hugging Face hub.

A file's kind is its suffix (a further ``.gz`` is fine):

- ``.txt``: documents are separated by blank lines; in a file without any blank line each line is a
  document.
- ``.jsonl``: one object a line with ``text`` and, if wanted, ``id``.
- ``.parquet``: a column ``text`` and, if wanted, ``id``.

Text is UTF-8. Files are read as a stream, so a corpus may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ..errors import UsageError
from . import embedded, files, hub
from .document import Document

EMBEDDED = {"lee-news": embedded.lee_news, "wiki-sample": embedded.wiki_sample}


@dataclass(frozen=True)
class Documents:
    """Documents that can be gone through again and again, read anew each time."""

    read: Callable[[], Iterator[Document]]
    source: str
    limit: int | None = None

    def __iter__(self) -> Iterator[Document]:
        """All documents with any text; raises UsageError when there is none."""
        found = False
        for document in islice((d for d in self.read() if d.text.strip()), self.limit):
            found = True
            yield document
        if not found:
            raise UsageError(
                f"{self.source} holds no document with any text; give a corpus with some"
            )


@dataclass(frozen=True)
class Corpus:
    """Text to study a subject on.

    Attributes:
        name: as the user gave it.
        title: what reports call it.
        sha256: of the file it came from; of name and revision for a hub data set.
    """

    name: str
    title: str
    sha256: str
    documents: Iterable[Document]


def read_corpus(spec: str, limit_documents: int | None = None) -> Corpus:
    """Open a corpus by its name, a file's path, or a hub data set's name (``owner/name`` or
    ``owner/name:split``).

    Raises:
        UsageError: no such corpus; while iterating: empty, binary, wrongly encoded or otherwise unreadable text, with
            file and line.
        UnavailableError: the registry or the hub cannot be reached, or `datasets` is not installed.
    """
    if limit_documents is not None and limit_documents < 1:
        raise UsageError(
            f"limit_documents={limit_documents} given; at least one document is needed"
        )
    title, sha256, read = _source(spec)
    return Corpus(spec, title, sha256, Documents(read, f"corpus {spec!r}", limit_documents))


def corpus_from_documents(name: str, documents: Iterable[Document], sha256: str = "") -> Corpus:
    """A corpus of documents at hand, such as a test's or a notebook's."""
    kept = list(documents)
    return Corpus(name, name, sha256, Documents(lambda: iter(kept), f"corpus {name!r}"))


def first_documents(corpus: Corpus, limit: int) -> Corpus:
    """The same corpus, of which only the first documents are read."""
    kept = corpus.documents
    return replace(
        corpus, documents=Documents(lambda: iter(kept), f"corpus {corpus.name!r}", limit)
    )


def _source(spec: str) -> tuple[str, str, Callable[[], Iterator[Document]]]:
    if spec in EMBEDDED:
        source = EMBEDDED[spec]()
        return source.title, source.sha256, source.read
    path = Path(spec).expanduser()
    if path.exists() or files.kind_of(path):
        files.check(path)
        return path.name, files.sha256_of(path), lambda: files.read(path)
    return hub.source(spec, known=sorted(EMBEDDED))
