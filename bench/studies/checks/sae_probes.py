"""The tasks of sae-probes: planted labels are read after the layer and not before, random ones nowhere."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.measurements import Measured
from ....studies.representation.sae_probes import as_columns, conclude
from ....tools.representation.binary_probing import TrainTest, score, score_settings
from ..registry import known_answer, null

TASKS, WIDTH, TEST = 10, 8, 40


def _task(random: np.random.Generator, train: int, strength: float) -> TrainTest:
    classes = np.arange(train + TEST) % 2
    vectors = random.normal(size=(len(classes), WIDTH))
    vectors[:, 0] += strength * classes
    return TrainTest(
        vectors[:train], classes[:train], np.arange(train), vectors[train:], classes[train:]
    )


def _measured(columns: Measured, lookup: float, number: int) -> Measured:
    """What the study keeps of a task; no two share a text."""
    return {**columns, "embedding_auc": np.array([lookup]), "texts": np.array([number])}


@known_answer("sae-probes", "planted labels are read, with wrong train labels less, by lookup not")
def planted_labels(seed: int) -> bool:
    random = np.random.default_rng(seed)
    scores: dict[str, Measured] = {}
    for number in range(TASKS):
        columns = as_columns(score_settings(_task(random, 60, 3.0), 100 * seed + number))
        lookup = score(_task(random, 12, 0.0), "standard", 12).auc
        scores[f"task {number}"] = _measured(columns, lookup, number)
    result = conclude(scores, 14, seed)
    columns = ("auc", "corruption 0.4", "control")
    standard, corrupted, control = (
        float(np.mean([row[column] for row in result.rows])) for column in columns
    )
    return (
        all(claim.verdict == "supported" for claim in result.claims)
        and standard > 0.95
        and standard > corrupted
        and abs(control - 0.5) < 0.3  # one random direction may lie along the planted one
    )


@null("sae-probes", "random labels")
def random_labels(seed: int) -> StudyResult:
    random = np.random.default_rng(seed)
    scores: dict[str, Measured] = {}
    for number in range(TASKS):
        standard, control, lookup = (
            score(_task(random, 12, 0.0), setting, 12, seed)
            for setting in ("standard", "control", "standard")
        )
        columns = as_columns([standard, control])
        scores[f"task {number}"] = _measured(columns, lookup.auc, number)
    return conclude(scores, 14, seed)
