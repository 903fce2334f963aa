"""What a soak runs on: the miniature subject, a synthetic corpus and its index, and small runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ...agent.run.execute import make_run, resolve
from ...agent.runlog.config import RunConfig
from ...tools.corpus.document import Document

DOCUMENTS = 120
CONTEXTS = 200
"""Contexts per split: enough for a verdict, few enough that a run takes about a second."""
N_LAYERS, N_NEURONS = 3, 24
"""Layers of the miniature subject, and neurons per layer."""


def isolate(folder: Path) -> None:
    """Let this process and its children use a cache in the soak's folder, and one thread."""
    os.environ |= {"HUBEL_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def documents() -> list[Document]:
    """Documents of common words, each with its own topic; the same every time."""
    from ..tiny_subject import WORDS

    rng = np.random.default_rng(0)
    words = np.array(WORDS.split())
    made = []
    for number in range(DOCUMENTS):
        topic = rng.dirichlet(np.full(len(words), 0.5))
        text = " ".join(rng.choice(words, rng.integers(60, 120), p=topic))
        made.append(Document(f"d{number}", f"{number}: {text}."))
    return made


def make_index(folder: Path) -> Path:
    """Index the documents; also caches the lexicon."""
    from ...agent.runlog.lexicon import subject_lexicon
    from ...tools.corpus import corpus_from_documents
    from ...tools.index import build_index
    from ..tiny_subject import miniature

    subject = miniature()
    build_index(subject, corpus_from_documents("made", documents(), "0" * 64), folder / "index")
    subject_lexicon(lambda: subject, subject.revision)
    return folder / "index"


def make_soak_run(folder: Path, index: Path, targets: Sequence[str], **settings: Any) -> Path:
    """A new run, not executed yet."""
    settings |= {"index": str(index), "targets": list(targets), "max_contexts": CONTEXTS}
    config = RunConfig.from_settings({"competitor": False, **settings})
    make_run(folder, resolve(config))
    return folder


def targets(n: int, first: int = 0) -> list[str]:
    """Addresses of n sides of neurons, starting at place `first`."""
    sides = product(("", "+", "-"), range(N_NEURONS), range(N_LAYERS))
    addresses = [f"mlp.{layer}.{neuron}{side}" for side, neuron, layer in sides]
    return [addresses[(first + i) % len(addresses)] for i in range(n)]
