"""Concept vectors: the direction in which a concept's texts differ from others.

1. A CAV is the direction of a logistic regression that separates the concept's vectors from others',
   on standardised vectors and at unit length there; or the difference of the two means, as short.
2. Stability: the cosine between the CAVs of two halves of the groups.
3. TCAV: the share of texts at which a step along the CAV raises a scalar, from the scalar's gradients.
4. A random CAV is one of shuffled labels, within groups where the label varies there (`groups`). p is
   the share of random CAVs whose TCAV is as far from the middle of them all; with R of them the least
   is 1 / (R + 1). Under the null the concept is one more random CAV, so that p is uniform.

Kim et al., "Interpretability Beyond Feature Attribution: Testing with Concept Activation Vectors" (ICML
2018), whose t-test takes overlapping samples for independent ones; hence the permutation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .groups import shuffled_labels
from .probe import fitted

ConceptMethod = Literal["regression", "means"]


class ConceptVector(NamedTuple):
    """A unit direction of standardised vectors, and what to multiply a vector by to get there."""

    direction: Float[np.ndarray, " width"]
    scale: Float[np.ndarray, " width"]

    def slopes(self, gradients: Float[np.ndarray, "text width"]) -> Float[np.ndarray, " text"]:
        """How a scalar changes by a step along the direction, from its gradients by the raw vectors."""
        return (gradients * self.scale) @ self.direction


class RandomConcept(NamedTuple):
    """Shuffled labels, and the vector that they give."""

    is_concept: Int[np.ndarray, " text"]
    vector: ConceptVector


def concept_vector(
    vectors: Float[np.ndarray, "text width"],
    is_concept: Int[np.ndarray, " text"],
    method: ConceptMethod = "regression",
) -> ConceptVector:
    """The direction from the other texts (0) to the concept's (1)."""
    spread = vectors.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 0, spread, 1.0)
    if method == "regression":
        regression: Any = fitted(vectors, is_concept)[-1]
        direction = regression.coef_[0].astype(np.float64)
    else:
        means = [vectors[is_concept == side].mean(axis=0, dtype=np.float64) for side in (0, 1)]
        direction = (means[1] - means[0]) / scale
    return ConceptVector(direction / np.linalg.norm(direction), scale)


def random_concepts(
    vectors: Float[np.ndarray, "text width"],
    is_concept: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    n: int,
    method: ConceptMethod = "regression",
    seed: int = 0,
) -> list[RandomConcept]:
    """As many random concepts, each from labels that are shuffled within or among groups."""
    random = np.random.default_rng(seed)
    labellings = [shuffled_labels(is_concept, group, random) for _ in range(n)]
    return [RandomConcept(labels, concept_vector(vectors, labels, method)) for labels in labellings]


def stability(
    vectors: Float[np.ndarray, "text width"],
    is_concept: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    method: ConceptMethod = "regression",
    seed: int = 0,
) -> float:
    """Cosine between the vectors of two halves that have no group in common, on one scale."""
    from ..datasets.groups import split_by_group

    first, _, second = split_by_group(is_concept, group, seed, (0.5, 0.0, 0.5))
    scaled = vectors / np.where(vectors.std(axis=0) > 0, vectors.std(axis=0), 1.0)
    one, other = (
        concept_vector(scaled[rows], is_concept[rows], method) for rows in (first, second)
    )
    return cosine(one.direction / one.scale, other.direction / other.scale)


def cosine(one: Float[np.ndarray, " width"], other: Float[np.ndarray, " width"]) -> float:
    """Of two directions."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def tcav(vector: ConceptVector, gradients: Float[np.ndarray, "text width"]) -> float:
    """Share of texts at which a step along the direction raises the scalar."""
    return float((vector.slopes(gradients) > 0).mean())


def permutation_p(score: float, random: Sequence[float], *, two_sided: bool = True) -> float:
    """p of a score among those of random vectors, ties counted as reached; one-sided: above them."""
    every = np.array([score, *random])
    distance = np.abs(every - np.median(every)) if two_sided else every
    return float((distance >= distance[0] - 1e-12).mean())
