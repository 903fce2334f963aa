"""One small corpus and one index of the tiny subject, which the tests here only read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hubel.tools.corpus import Corpus, Document, Split, corpus_from_documents
from hubel.tools.subject.address import Site, Unit

if TYPE_CHECKING:
    from hubel.tools.index import Index
    from hubel.tools.subject.subject import Subject

CONTEXT_LEN = 16
WORDS = (  # noqa: SIM905
    "the of and in to a is was on Monday Tuesday Friday cat dog city river bank said 1999 not red"
).split()


def texts(n: int = 40, seed: int = 0) -> list[str]:
    """Random documents of 3 to 60 words; one in ten is nearly the one before it."""
    rng = random.Random(seed)
    documents: list[str] = []
    for number in range(n):
        words = (
            rng.choices(WORDS, k=rng.randint(3, 60)) if number % 10 else [*rng.choices(WORDS, k=60)]
        )
        documents.append(" ".join(words) if number % 10 != 1 else documents[-1] + " end")
    return documents


def small_corpus(n: int = 40) -> Corpus:
    """The same documents every time."""
    return corpus_from_documents(
        "small",
        [Document(f"d{number}", text) for number, text in enumerate(texts(n))],
        sha256="0" * 64,
    )


class Truth:
    """Every activation of the small index's contexts, each context captured by itself."""

    def __init__(self, subject: Subject, index: Index) -> None:
        self.subject, self.index = subject, index
        self._by_split: dict[str, dict[Site, np.ndarray]] = {}

    def of(self, unit: Unit, split: Split) -> np.ndarray:
        """(context seq), float32, NaN where nothing counts."""
        if split not in self._by_split:
            self._by_split[split] = self._capture(split)
        return self._by_split[split][unit.place][..., self.subject.shape.column(unit)]

    def _capture(self, split: Split) -> dict[Site, np.ndarray]:
        import torch

        from hubel.tools.index.index import reader_of

        contexts = reader_of(self.index, split).contexts()
        counts = {site: self.subject.shape.count(site) for site in self.index.sites}
        result = {
            site: np.full((*contexts.tokens.shape, n), np.nan, np.float32)
            for site, n in counts.items()
        }
        for row, (tokens, length) in enumerate(
            zip(contexts.tokens, contexts.length.tolist(), strict=True)
        ):
            ids = torch.from_numpy(tokens[:length][None].astype(np.int64))
            for site, values in self.subject.capture(ids, self.index.sites).activations.items():
                result[site][row, 1:length] = values[0, 1:]
        return result


@pytest.fixture(scope="session")
def truth(tiny: Subject, index: Index) -> Truth:
    return Truth(tiny, index)


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return small_corpus()


@pytest.fixture(scope="session")
def index(tiny: Subject, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """All neurons and heads, with a sample of all tokens, so that quantiles are exact."""
    from hubel.tools.index import ExemplarCounts, Index, build_index

    folder: Path = tmp_path_factory.mktemp("index") / "small"
    counts = ExemplarCounts(top=(3, 2, 2), pool=(5, 2, 2), sample=(10_000, 10_000, 10_000))
    build_index(tiny, corpus, folder, context_len=CONTEXT_LEN, exemplar_counts=counts)
    return Index.open(folder)
