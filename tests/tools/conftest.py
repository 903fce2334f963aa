"""A tiny subject with an index, and every activation of its explore split read one context at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Document
from hubel.tools.corpus.documents import corpus_from_documents
from hubel.tools.index import Index, build_index
from hubel.tools.instruments import InstrumentContext
from hubel.tools.subject import Site
from tests.support.tiny import WORDS, tiny_subject


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> InstrumentContext:
    """A tiny subject with an index over 40 made documents, contexts of 16."""
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = [Document(f"d{i}", " ".join(draw.choice(words, 40))) for i in range(40)]
    subject = tiny_subject()
    folder = tmp_path_factory.mktemp("index") / "i"
    build_index(subject, corpus_from_documents("words", documents), folder, context_len=16)
    return InstrumentContext(subject, Index.open(folder))


@pytest.fixture(scope="session")
def naive(indexed: InstrumentContext) -> dict[Site, np.ndarray]:
    """Every activation of explore: [context, seq, unit], nan where nothing counts."""
    contexts, subject = indexed.require_index().contexts("explore"), indexed.require_subject()
    activations: dict[Site, list[np.ndarray]] = {}
    for tokens, length in zip(contexts.tokens, contexts.length, strict=True):
        sites = [Site(kind, layer) for kind in ("mlp", "head") for layer in range(3)]
        captured = subject.capture(torch.tensor(tokens[None, : int(length)]), sites).activations
        for site in sites:
            values = np.full((len(tokens), captured[site].shape[-1]), np.nan)
            values[1 : int(length)] = captured[site][0, 1:].numpy()
            activations.setdefault(site, []).append(values)
    return {site: np.stack(values) for site, values in activations.items()}
