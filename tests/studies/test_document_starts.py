"""The first tokens of documents: long enough, drawn at random, near-duplicates once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubel.studies.document_starts import document_starts
from tests.support.tiny import WORDS, tiny_subject

VOCABULARY = WORDS.split()


def test_near_duplicates_and_short_documents_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    long = [" ".join(rng.choice(VOCABULARY, 20)) for _ in range(6)]
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join([*long, "the cat", long[0], long[1]]))
    subject = tiny_subject()
    starts = document_starts(subject, str(path), 20, 10, seed=0)
    assert sorted(starts) == sorted(subject.tokenize(text).ids[:10] for text in long)
    assert len(document_starts(subject, str(path), 3, 10, seed=1)) == 3
    assert document_starts(subject, str(path), 3, 10, seed=1) != starts[:3]
