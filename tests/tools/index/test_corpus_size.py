"""A corpus that is too small for a verdict is indexed with a warning that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.index import ExemplarCounts, build_index
from hubel.tools.subject.subject import Subject

from .conftest import CONTEXT_LEN, texts


def warnings(subject: Subject, documents: list[str], out: Path) -> list[str]:
    corpus = corpus_from_documents("c", [Document(f"d{n}", t) for n, t in enumerate(documents)])
    lines: list[str] = []
    build_index(
        subject,
        corpus,
        out,
        context_len=CONTEXT_LEN,
        exemplar_counts=ExemplarCounts(top=(1, 1, 1)),
        warn=lines.append,
    )
    return lines


@pytest.mark.parametrize(
    ("n", "effect"),
    [
        (20, "with fewer than 10 in holdout no explanation can be kept or rejected"),
        (70, "with fewer than 30 in holdout intervals are wide"),
    ],
)
def test_few_documents_are_a_warning(tiny: Subject, tmp_path: Path, n: int, effect: str) -> None:
    (line,) = warnings(tiny, texts(n), tmp_path / "i")
    assert effect in line
    assert "documents by split: explore " in line
    assert "Give 100 different documents or more" in line


def test_copies_of_a_document_count_once(tiny: Subject, tmp_path: Path) -> None:
    """200 documents of 10 texts are a small corpus."""
    (line,) = warnings(tiny, [text * 3 for text in texts(12)[2:]] * 20, tmp_path / "i")
    assert "no explanation can be kept or rejected" in line


def test_enough_documents_are_not(tiny: Subject, tmp_path: Path) -> None:
    assert warnings(tiny, texts(200), tmp_path / "i") == []
