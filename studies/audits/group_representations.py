"""Group representations: does each group have its own direction, and which are similar?

1. The residual stream at the last token of neutral sentences that name each group of a family
   (`group_texts`), each dimension standardised, since a few dwarf the others.
2. From each vector the mean over the groups of its sentence is taken away: what is left is due to the
   name. The direction of a group is the mean of that over sentences.
3. Rows: the cosine between directions, and debiased linear CKA between two groups' vectors over
   sentences, which asks whether sentences differ in the same way for both names.
4. Claim: sentences of one half point to their own group's direction, from the other half, more than to
   the others'. Control: 0, which is what names without meaning give. Intervals: bootstrap over the
   sentences of the first half. (Leaving out one sentence at a time makes the figures of all sentences
   depend on each other: 7 % of 200 nulls were supported.)

With two groups the two directions are opposite by construction, so that three are needed. Kornblith et
al. (2019) and Murphy et al. (2024) on CKA. That groups have directions is no bias: how they are used is
asked by `bias-causes` and `stereotypes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ...tools.errors import UsageError
from ..figures import HeatMap
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above
from .group_texts import Family

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..measurements import Measured

FEWEST = 3


@study("group-representations", question="Does each group of people have its own direction?")
def group_representations(
    study: StudyContext,
    family: Annotated[Family, Field(description="of groups")] = "religion",
    layer: Annotated[
        int | None, Field(ge=0, description="the stream after it; default: at 60 % of depth")
    ] = None,
    seed: int = 0,
) -> StudyResult:
    """Compare what the subject's vectors of the same sentences about different groups share."""
    measured = study.measured("vectors", lambda: measure(study, family, layer))
    return conclude(measured["vectors"], measured["groups"].tolist(), seed)


def measure(study: StudyContext, family: Family, layer: int | None) -> Measured:
    """Vectors of every sentence with every group, at one layer."""
    from ...tools.representation.collect import collect
    from ...tools.subject.address import Site
    from .group_texts import FAMILIES, group_texts

    subject = study.subject
    at = int(0.6 * subject.shape.n_layers) if layer is None else layer
    (vectors,) = collect(subject, [row.text for row in group_texts(family)], [Site("stream", at)])
    groups = FAMILIES[family]
    return {
        "vectors": vectors.reshape(-1, len(groups), vectors.shape[-1]),
        "groups": np.array(groups),
    }


def conclude(
    vectors: Float[np.ndarray, "sentence group width"], groups: list[str], seed: int = 0
) -> StudyResult:
    """One claim, a row for each pair of groups, and a map of cosines.

    Raises:
        UsageError: fewer than three groups.
    """
    if len(groups) < FEWEST:
        raise UsageError(
            f"{len(groups)} groups given; give at least {FEWEST}, since two are always opposites"
        )
    from ...tools.representation.cka import cka

    named = due_to_names(vectors)
    directions, tested = named.mean(axis=0), own_less_others(named, seed)
    cosines = _unit(directions) @ _unit(directions).T
    alike = cka([vectors[:, place] for place in range(len(groups))]).values
    rows: list[dict[str, Any]] = [
        {
            "first": groups[a],
            "second": groups[b],
            "cosine": float(cosines[a, b]),
            "cka": None if np.isnan(alike[a, b]) else float(alike[a, b]),
        }
        for a in range(len(groups))
        for b in range(a + 1, len(groups))
    ]
    claim = above(
        "a sentence about a group points to the direction of that group from other sentences",
        mean_over_groups(tested, seed=seed),
        0.0,
        len(tested),
    )
    shown = HeatMap(
        "cosines",
        "Cosine between the directions of groups",
        "group",
        "group",
        groups,
        groups,
        cosines.round(6).tolist(),
        centre=0.0,
    )
    return StudyResult(rows, [claim], [shown])


def due_to_names(
    vectors: Float[np.ndarray, "sentence group width"],
) -> Float[np.ndarray, "sentence group width"]:
    """Standardised vectors less the mean of their sentence."""
    flat = vectors.reshape(-1, vectors.shape[-1]).astype(np.float64)
    spread = flat.std(axis=0)
    standard = (vectors - flat.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return standard - standard.mean(axis=1, keepdims=True)


def own_less_others(
    named: Float[np.ndarray, "sentence group width"], seed: int
) -> Float[np.ndarray, " tested"]:
    """For each sentence of a half: cosine to its own group's direction less that to the others'."""
    n_sentences, n_groups, _ = named.shape
    order = np.random.default_rng(seed).permutation(n_sentences)
    first, second = order[: n_sentences // 2], order[n_sentences // 2 :]
    directions = _unit(named[first].mean(axis=0))
    cosines = _unit(named[second]) @ directions.T
    own = np.trace(cosines, axis1=1, axis2=2)
    others = (cosines.sum(axis=(1, 2)) - own) / (n_groups - 1)
    return (own - others) / n_groups


def _unit(rows: Float[np.ndarray, "row width"]) -> Float[np.ndarray, "row width"]:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
