"""A finished study of the tiny subject: attention on made text, with figures of all kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubel.agent.studies.run import execute_study_run, make_study_run, study_config
from hubel.tools.subject.subject import Subject

WORDS = ["the", "of", "and", "in", "to", "a", "is", "was", "on", "cat", "dog", "city", "river"]


def make_study(folder: Path, subject: Subject) -> Path:
    """The run's folder."""
    rng = np.random.default_rng(0)
    corpus = folder.parent.parent / f"{folder.name}.txt"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    texts = ["<b>" + " ".join(rng.choice(WORDS, 30)) for _ in range(12)]
    corpus.write_text("\n\n".join(texts))
    options = {"corpus": str(corpus), "documents": 10, "tokens": 16}
    make_study_run(folder, study_config("attention", options, [subject.name], "cpu"))
    execute_study_run(folder, subjects={subject.name: subject})
    return folder
