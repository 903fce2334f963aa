"""Similarity of layers: how alike do the layers of a subject arrange the same texts?

1. A vector of each text after each layer, the word embeddings first.
2. The similarity of every two layers (debiased CKA, or another measure: `tools/representation`), with
   intervals from leaving out folds of groups.
3. Control: the same measure with the texts of one of the two layers shuffled. Debiased CKA is 0 there,
   the other measures are not.
4. Claims: the first and the last layer share structure; and the stream changes step by step, so that
   neighbouring layers are more alike than layers a third of the depth apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...evals.statistics.bootstrap import Interval
from ..figures import HeatMap, LinePlot, PlottedLine
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level
from .layer_vectors import DatasetName, Pooling, TextCount, measure_vectors

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...tools.representation.cka import LayerSimilarity

SimilarityMeasure = Literal["cka", "procrustes", "svcca", "rsa"]
Statistic = Callable[["Float[np.ndarray, 'layer layer']"], float]
SHUFFLES = 5
"""Of the control; debiased CKA of 2,000 shuffled texts spreads by 0.002."""


@study("similarity", question="How alike do a subject's layers arrange the same texts?")
def similarity(
    study: StudyContext,
    data: DatasetName = "probing/tense",
    measure: SimilarityMeasure = "cka",
    texts: TextCount = 2000,
    pooling: Pooling = "mean",
    seed: int = 0,
) -> StudyResult:
    """Compare every two layers of the residual stream on the same texts.

    `cka` is 0 for layers that share nothing; `procrustes`, `svcca` and `rsa` are read against their
    value for shuffled texts. Blocks in the heat map are stretches of depth in which little changes.
    """
    measured = study.measured("vectors", lambda: measure_vectors(study, data, texts, pooling, seed))
    return conclude(
        list(measured["vectors"]),
        measured["group"],
        measured["layer"].tolist(),
        measure,
        seed,
    )


def conclude(
    vectors: Sequence[Float[np.ndarray, "text width"]],
    group: Int[np.ndarray, " text"],
    names: list[str],
    measure: SimilarityMeasure = "cka",
    seed: int = 0,
) -> StudyResult:
    """Both claims, a row for each layer, the matrix, and similarity to the next layer."""
    compared = compare_layers(vectors, group, measure, seed)
    last, apart = len(vectors) - 1, max(2, len(vectors) // 3)
    shuffled = shuffled_similarity(vectors[0], vectors[last], measure, seed)
    n = len(np.unique(group))
    claims = [
        claim_above(
            f"{names[0]} and {names[last]} arrange these texts alike",
            compared,
            lambda matrix: float(matrix[0, last]),
            shuffled,
            n,
            claims=2,
        ),
        claim_above(
            f"neighbouring layers are more alike than layers {apart} apart",
            compared,
            lambda matrix: float(np.diagonal(matrix, 1).mean() - np.diagonal(matrix, apart).mean()),
            0.0,
            n,
            claims=2,
        ),
    ]
    values = compared.values.tolist()
    rows = [
        {
            "layer": name,
            "to the first": _number(values[0][place]),
            "to the next": _number(values[place][place + 1]) if place < last else None,
            "to the last": _number(values[place][last]),
        }
        for place, name in enumerate(names)
    ]
    title = f"Similarity of layers ({measure})"
    matrix = [[_number(value) for value in row] for row in values]
    return StudyResult(
        rows,
        claims,
        [
            HeatMap("layers", title, "layer", "layer", names, names, matrix),
            _steps(compared, shuffled, title),
        ],
    )


def compare_layers(
    vectors: Sequence[Float[np.ndarray, "text width"]],
    group: Int[np.ndarray, " text"],
    measure: SimilarityMeasure,
    seed: int = 0,
) -> LayerSimilarity:
    """The chosen measure of every two layers."""
    from ...tools.representation.alignment import alignment
    from ...tools.representation.cka import cka

    if measure == "cka":
        return cka(vectors, group, seed=seed)
    return alignment(vectors, measure, group, seed=seed)


def shuffled_similarity(
    first: Float[np.ndarray, "text width"],
    second: Float[np.ndarray, "text width"],
    measure: SimilarityMeasure,
    seed: int = 0,
) -> float:
    """Mean similarity of a layer and another one whose texts are shuffled."""
    rng = np.random.default_rng(seed)
    shuffled = [second[rng.permutation(len(second))] for _ in range(SHUFFLES)]
    # Shuffling ends whatever rows of a group share, so that each row is its own.
    compared = compare_layers([first, *shuffled], np.arange(len(first)), measure, seed)
    return float(compared.values[0, 1:].mean())


def claim_above(
    claim: str,
    compared: LayerSimilarity,
    statistic: Statistic,
    control: float,
    n: int,
    claims: int,
) -> StudyClaim:
    """The claim that a number computed from the matrix is above its control.

    Args:
        claims: how many the study makes.
    """
    interval = compared.interval(statistic, joint_level(claims))
    if not np.isfinite(interval).all() or not np.isfinite(control):
        return cannot_say(f"{claim} (a layer has no structure that these texts share)", n)
    return above(claim, Interval(*interval), control, n)


def _steps(compared: LayerSimilarity, shuffled: float, title: str) -> LinePlot:
    """Similarity of each layer to the next one, with intervals."""
    steps = list(range(len(compared.values) - 1))
    ends = [compared.interval(lambda matrix, at=at: float(matrix[at, at + 1])) for at in steps]
    line = PlottedLine(
        "to the next layer",
        steps,
        [_number(end.value) for end in ends],
        [_number(end.low) for end in ends],
        [_number(end.high) for end in ends],
    )
    control = PlottedLine(
        "texts shuffled", steps, [_number(shuffled)] * len(steps), is_control=True
    )
    return LinePlot("steps", title, "layer", "similarity to the next layer", [line, control])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
