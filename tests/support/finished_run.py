"""A tiny subject, a made corpus and an index over it, shared by the tests of the loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.tools.corpus import corpus_from_documents
from hubel.tools.corpus.document import Document
from hubel.tools.index import build_index
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.tiny import WORDS

FINISHED: dict[str, Any] = {"targets": ["mlp.0.0-3", "mlp.2.3-"], "explainer": "compositional"}
"""What the finished run was asked for."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests of a session cache is theirs alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBEL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_index(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index over 120 documents of common words, each with its own topic."""
    rng = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = []
    for number in range(120):
        topic = rng.dirichlet(np.full(len(words), 0.5))
        text = " ".join(rng.choice(words, rng.integers(60, 120), p=topic))
        documents.append(Document(f"d{number}", f"{number}: {text}."))
    out = tmp_path_factory.mktemp("index") / "tiny"
    build_index(tiny, corpus_from_documents("made", documents, "0" * 64), out)
    return out


@pytest.fixture(scope="session")
def finished(tiny: Subject, tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended; tests read it and change nothing."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(folder, resolve(run_config(index=str(tiny_index), **FINISHED)))
    execute_run(folder, subject=tiny)
    return folder
