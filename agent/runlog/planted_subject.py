"""Subjects with planted units, as benches and runs make them: from a suite, over a corpus, always in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .layout import SUITE

if TYPE_CHECKING:
    from ...tools.index import Index
    from ...tools.subject import PlantedSubject, Subject, Suite


def planted(subject: Subject, suite: Suite, corpus: str) -> PlantedSubject:
    """A subject with a suite's units, for an index of the whole corpus."""
    from ...tools.corpus import read_corpus
    from ...tools.subject import plant

    return plant(subject, suite, read_corpus(corpus).documents)


def replanted(subject: Subject, folder: Path, corpus: str, index: Index) -> PlantedSubject:
    """The planted subject of a run, made again from what the run and its index keep."""
    from ...tools.corpus import read_corpus
    from ...tools.subject import plant, read_suite

    suite = read_suite(folder / SUITE)
    return plant(
        subject,
        suite,
        read_corpus(corpus).documents,
        context_len=index.context_len,
        max_tokens=index.tokens,
    )


def weights_of(revision: str) -> str:
    """The revision of the weights alone: planted units change neither vocabulary nor embedding."""
    return revision.partition("+")[0]
