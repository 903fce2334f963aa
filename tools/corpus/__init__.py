"""Text: where it comes from, how it is split, and how it is cut for the subject.

Not here: what a subject does on it (`tools/index`).
"""

from __future__ import annotations

from .contexts import Contexts, DocumentRow, make_contexts
from .document import Document
from .documents import Corpus, corpus_from_documents, first_documents, read_corpus
from .split import RULE, SALT, SHARES, SPLITS, Split, split_of

__all__ = [
    "RULE",
    "SALT",
    "SHARES",
    "SPLITS",
    "Contexts",
    "Corpus",
    "Document",
    "DocumentRow",
    "Split",
    "corpus_from_documents",
    "first_documents",
    "make_contexts",
    "read_corpus",
    "split_of",
]
