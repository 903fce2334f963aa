"""What a soak stands on: the miniature subject, a made corpus, an index over it, and runs of few targets."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...agent.run.execute import make_run, resolve
from ...agent.runlog.config import RunConfig

DOCUMENTS = 120
CONTEXTS = 200
"""A split; enough for a verdict, few enough that a run is a matter of a second."""
N_LAYERS, N_NEURONS = 3, 24
"""Of the miniature subject."""


def use(folder: Path) -> None:
    """Let this process, and those that it starts, cache in the soak's own folder and compute on one thread."""
    os.environ |= {"HUBEL_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def make_index(folder: Path) -> Path:
    """An index over documents of common words, each of a topic of its own, and what runs cache beside it."""
    from ...agent.runlog.lexicon import subject_lexicon
    from ...tools.corpus import corpus_from_documents
    from ...tools.corpus.document import Document
    from ...tools.index import build_index
    from ..tiny_subject import WORDS, miniature

    rng = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = []
    for number in range(DOCUMENTS):
        topic = rng.dirichlet(np.full(len(words), 0.5))
        text = " ".join(rng.choice(words, rng.integers(60, 120), p=topic))
        documents.append(Document(f"d{number}", f"{number}: {text}."))
    subject = miniature()
    build_index(subject, corpus_from_documents("made", documents, "0" * 64), folder / "index")
    subject_lexicon(lambda: subject, subject.revision)
    return folder / "index"


def make(folder: Path, index: Path, targets: Sequence[str], **settings: Any) -> Path:
    """A run that nobody has worked on yet."""
    settings |= {"index": str(index), "targets": list(targets), "max_contexts": CONTEXTS}
    config = RunConfig.from_settings({"competitor": False, **settings})
    make_run(folder, resolve(config))
    return folder


def targets(n: int, first: int = 0) -> list[str]:
    """So many sides of neurons, from the first-th on."""
    every = [
        f"mlp.{layer}.{i}{side}"
        for side in ("", "+", "-")
        for i in range(N_NEURONS)
        for layer in range(N_LAYERS)
    ]
    return [every[(first + i) % len(every)] for i in range(n)]


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
