"""Similarity between subjects: do two models, or two checkpoints, arrange the same texts alike?

1. A vector of each text after each layer of each subject.
2. The similarity of every layer of the first subject with every layer of each other one, on the same
   texts. The subjects may differ in width, depth and tokenizer.
3. Two claims about each other subject. Layers at the same relative depth are alike: their mean
   similarity is above that with the texts shuffled. And depth corresponds: that mean is above the mean
   of all other pairs of layers.
4. A subject compared with itself gives 1 at the same depth, to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..figures import HeatMap
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from .layer_vectors import DatasetName, Pooling, TextCount, measure_vectors
from .similarity import SimilarityMeasure, claim_above, compare_layers, shuffled_similarity

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...tools.representation.cka import LayerSimilarity


class SubjectLayers(NamedTuple):
    """The layers of one subject: `vectors` [layer, text, width]."""

    subject: str
    names: list[str]
    vectors: Sequence[Float[np.ndarray, "text width"]]


@study(
    "similarity-between",
    question="Do two subjects, or checkpoints of one, arrange the same texts alike?",
    subjects=-1,
)
def similarity_between(
    study: StudyContext,
    data: DatasetName = "probing/tense",
    measure: SimilarityMeasure = "cka",
    texts: TextCount = 2000,
    pooling: Pooling = "mean",
    seed: int = 0,
) -> StudyResult:
    """Compare the layers of the first subject with those of each other one on the same texts."""
    layers: list[SubjectLayers] = []
    group = None
    for place, name in enumerate(study.names):
        measured = study.measured(
            f"vectors-{place}",
            lambda place=place: measure_vectors(study, data, texts, pooling, seed, place),
        )
        layers.append(SubjectLayers(name, measured["layer"].tolist(), list(measured["vectors"])))
        group = measured["group"]
    assert group is not None  # there are two subjects or more
    return conclude(layers, group, measure, seed)


def conclude(
    layers: Sequence[SubjectLayers],
    group: Int[np.ndarray, " text"],
    measure: SimilarityMeasure = "cka",
    seed: int = 0,
) -> StudyResult:
    """Two claims, a matrix, and rows for the first subject's layers, about each other subject."""
    first, *others = layers
    claims: list[StudyClaim] = []
    rows: list[dict[str, object]] = []
    figures: list[HeatMap] = []
    for number, other in enumerate(others, 1):
        compared = compare_layers([*first.vectors, *other.vectors], group, measure, seed)
        size = len(first.vectors)
        pairs = same_depth(size, len(other.vectors))
        control = shuffled_similarity(
            first.vectors[size // 2], other.vectors[pairs[size // 2]], measure, seed
        )
        n = len(np.unique(group))
        claims += _claims(first, other, compared, control, n, 2 * len(others))
        matrix = compared.values[:size, size:]
        names = f"{first.subject} and {other.subject}"
        rows += [
            {
                "subjects": names,
                "layer": first.names[row],
                "same depth": other.names[column],
                "similarity": _finite(matrix[row, column]),
                "most similar": other.names[int(np.nan_to_num(matrix[row], nan=-1).argmax())],
            }
            for row, column in enumerate(pairs)
        ]
        values = [[_finite(value) for value in row] for row in matrix]
        figures.append(
            HeatMap(
                f"subject-{number}",
                f"Similarity of the layers of {names} ({measure})",
                other.subject,
                first.subject,
                other.names,
                first.names,
                values,
            )
        )
    return StudyResult(rows, claims, figures)


def _claims(
    first: SubjectLayers,
    other: SubjectLayers,
    compared: LayerSimilarity,
    control: float,
    n: int,
    claims: int,
) -> list[StudyClaim]:
    size = len(first.vectors)
    same = np.zeros((size, len(other.vectors)), dtype=bool)
    same[np.arange(size), same_depth(size, len(other.vectors))] = True

    def at_same_depth(matrix: np.ndarray) -> float:
        return float(matrix[:size, size:][same].mean())

    def elsewhere(matrix: np.ndarray) -> float:
        return float(matrix[:size, size:][~same].mean())

    return [
        claim_above(
            f"{first.subject} and {other.subject} arrange these texts alike at the same depth",
            compared,
            at_same_depth,
            control,
            n,
            claims,
        ),
        claim_above(
            f"layers of {first.subject} are more like those of {other.subject} at the same depth "
            "than at others",
            compared,
            lambda matrix: at_same_depth(matrix) - elsewhere(matrix),
            0.0,
            n,
            claims,
        ),
    ]


def same_depth(first: int, second: int) -> list[int]:
    """For each of the first subject's layers the second's at the nearest relative depth."""
    return [round(place * (second - 1) / max(1, first - 1)) for place in range(first)]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
