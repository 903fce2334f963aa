"""The first tokens of documents that have nothing in common: rows of equal length for a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..tools.subject import Subject


def document_starts(
    subject: Subject, corpus: str, count: int, length: int, seed: int
) -> list[list[int]]:
    """The first tokens of at most so many documents that are that long, drawn at random.

    Of near-duplicates only the first is taken.
    """
    from ..tools.corpus import read_corpus
    from ..tools.corpus.split import DuplicateGroups

    documents = list(read_corpus(corpus).documents)
    starts: list[list[int]] = []
    duplicates = DuplicateGroups()
    for place in np.random.default_rng(seed).permutation(len(documents)).tolist():
        ids = subject.tokenize(documents[place].text).ids[:length]
        if len(ids) == length:
            starts.append(ids)
            duplicates.add(documents[place].text)
        if len(starts) == 2 * count:  # twice as many, should some be duplicates
            break
    first: dict[int, list[int]] = {}
    for group, ids in zip(duplicates.groups, starts, strict=True):
        first.setdefault(group, ids)
    return list(first.values())[:count]
