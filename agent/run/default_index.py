"""The indexes that hubel makes for itself (`demo`, `bench`): one per subject and corpus, cached."""

from __future__ import annotations

import re
from pathlib import Path

from ...tools.corpus import RULE, read_corpus
from ...tools.errors import CorruptError
from ...tools.files import cache_dir
from ...tools.index import Index, build_index
from ...tools.subject import Subject
from ..runlog.progress import Reporter


def default_index(subject: Subject, corpus_name: str, reporter: Reporter) -> Path:
    """The folder of the index of a subject over a corpus, built or completed now if needed."""
    corpus = read_corpus(corpus_name)
    name = f"{subject.name}-{subject.revision[:8]}-{corpus.name}-{corpus.sha256[:8]}-{RULE}"
    folder = cache_dir() / "indexes" / re.sub(r"[^A-Za-z0-9.-]+", "-", name)
    try:
        Index.open(folder)
    except (CorruptError, FileNotFoundError):
        build_index(
            subject,
            corpus,
            folder,
            store="auto",
            progress=reporter,
            warn=reporter.say,
            say=reporter.say,
        )
    return folder
