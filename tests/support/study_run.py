"""Finished studies: attention of the tiny subject, with figures of all kinds, and a trajectory."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import numpy as np

from hubel.agent.studies.run import execute_study_run, make_study_run, study_config
from hubel.bench.known_circuits.trained import checkpoints
from hubel.bench.known_circuits.training_tasks import training_task
from hubel.tools.subject.subject import Subject

WORDS = ["the", "of", "and", "in", "to", "a", "is", "was", "on", "cat", "dog", "city", "river"]


def make_study(folder: Path, subject: Subject) -> Path:
    """The run's folder, of a study of attention."""
    rng = np.random.default_rng(0)
    corpus = folder.parent.parent / f"{folder.name}.txt"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    texts = ["<b>" + " ".join(rng.choice(WORDS, 30)) for _ in range(12)]
    corpus.write_text("\n\n".join(texts))
    options = {"corpus": str(corpus), "documents": 10, "tokens": 16}
    make_study_run(folder, study_config("attention", options, [subject.name], "cpu"))
    execute_study_run(folder, subjects={subject.name: subject})
    return folder


def make_trajectory(folder: Path) -> Path:
    """The run's folder, of a trajectory of a model that is trained on induction for 450 steps."""
    trained = checkpoints("induction", every=25, until=450)
    table = write_letters(folder.parent.parent / "letter-that-followed.jsonl", 800)
    options = {"corpus": "", "rows": 200, "data": table.name, "texts": 800}
    names = [subject.name for subject in trained]
    make_study_run(folder, study_config("trajectory", options, names, "cpu"))
    with chdir(table.parent):  # claims and figures name the table as it is given
        execute_study_run(folder.absolute(), subjects=dict(zip(names, trained, strict=True)))
    return folder


def write_letters(path: Path, count: int) -> Path:
    """A table of the induction task's sequences: is the letter that followed before one of the first six?"""
    sequences = training_task("induction").draw(np.random.default_rng(7), count)
    with path.open("w") as table:
        for ids, answer in zip(sequences.ids, sequences.targets[:, -1], strict=True):
            text = " ".join(["<start>", *(f"t{letter}" for letter in ids[1:])])
            print(json.dumps({"text": text, "label": "low" if answer <= 6 else "high"}), file=table)
    return path
