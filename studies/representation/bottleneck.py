"""Bottleneck: can a label be predicted from the scores of a few named concepts alone?

1. A linear probe of each concept is fitted on the concept's own data set, after one layer. The second
   label is the concept. Texts of groups that test the label are left out.
2. The concepts' scores of each text are all that the bottleneck sees: a logistic regression on them and
   on the products of every two of them, fitted on explore groups and tested on the others.
3. Residual: what a linear probe of the whole stream reads beyond that. It is below 0 where the label
   is a combination of concepts that no line reads.
4. Each concept is left out once: what its absence costs is what the label needs it for.
5. Controls: the most frequent label, and as many probes of the concepts' labels shuffled, the best of
   `SHUFFLED` such sets. A few random directions already read a part of most labels.

Koh et al., "Concept Bottleneck Models" (ICML 2020). A score that predicts the label need not be what the
subject uses to produce it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level
from .layer_vectors import DatasetName, Pooling, TextCount
from .several_sets import SeveralSets, measure_sets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float, Int

SHUFFLED = 19
"""Sets of concepts of shuffled labels: random directions beat the best in one of 20 cases."""


@study("bottleneck", question="Can a label be predicted from named concepts alone?")
def bottleneck(
    study: StudyContext,
    data: DatasetName = "sae-probes/113_movie_sent",
    concepts: Annotated[
        list[str],
        Field(min_length=1, max_length=10, description="data sets, one for each concept"),
    ] = ["sae-probes/92_glue_sst2", "sae-probes/87_glue_cola"],  # noqa: B006
    layer: Annotated[int | None, Field(ge=0, description="default: the middle one")] = None,
    texts: TextCount = 600,
    pooling: Pooling = "last",
    seed: int = 0,
) -> StudyResult:
    """Predict a label from the scores of named concepts, and say what they leave out."""
    measured = study.measured(
        "sets", lambda: measure_sets(study, [data, *concepts], layer, texts, pooling, seed)
    )
    return conclude(SeveralSets.of(measured), int(measured["layer"]), seed)


def conclude(sets: SeveralSets, layer: int, seed: int = 0) -> StudyResult:
    """Whether the concepts suffice, what they leave out, and whether each of them is needed.

    Args:
        sets: the first one has the label, each other one a concept.
    """
    from ...tools.datasets import split_by_group
    from ...tools.representation.probe import fitted

    target, *concepts = sets.names
    is_target = sets.place == 0
    texts, label, group = sets.vectors[is_target], sets.classes[is_target], sets.group[is_target]
    explore, _, test = split_by_group(label, group, seed, (0.6, 0.0, 0.4))
    scores, *shuffled = _concept_scores(sets, texts, group[test], seed)
    controls = [_right(each, label, explore, test).mean() for each in shuffled]
    majority = float(np.bincount(label[test]).max() / len(test))
    control = max(majority, *(float(each) for each in controls))
    stream = fitted(texts[explore], label[explore])
    right = {
        "these concepts": _right(scores, label, explore, test),
        "the whole stream": (stream.predict(texts[test]) == label[test]).astype(float),
    }
    for column, name in enumerate(concepts):
        rest = np.delete(scores, column, axis=1)
        right[f"without {name}"] = _right(rest, label, explore, test)
    of, level = group[test].tolist(), joint_level(2 + len(concepts))
    named, whole, *without = right.values()
    lost = [whole - named, *(named - each for each in without)]
    beyond, *needed = (
        mean_over_groups(each, of, level=level, seed=seed, bounds=(-1, 1)) for each in lost
    )
    n = len(set(of))
    claims = [
        above(
            f"the label of {target} can be predicted from scores of {', '.join(concepts)} alone, at "
            f"resid.{layer} (accuracy on unseen groups)",
            mean_over_groups(named, of, level=level, seed=seed),
            control,
            n,
        ),
        above("the whole stream says more of it than they do (residual)", beyond, 0.0, n),
    ]
    for name, cost in zip(concepts, needed, strict=True):
        claims.append(above(f"without {name} the prediction is worse", cost, 0.0, n))
    intervals = {name: mean_over_groups(each, of, seed=seed) for name, each in right.items()}
    rows = [
        {"predicted from": name, "accuracy": value, "low": low, "high": high, "control": control}
        for name, (value, low, high) in intervals.items()
    ]
    return StudyResult(rows, claims, [_bars(rows, target)])


def _concept_scores(
    sets: SeveralSets,
    texts: Float[np.ndarray, "text width"],
    test_groups: Int[np.ndarray, " test"],
    seed: int,
) -> list[Float[np.ndarray, "text concept"]]:
    """Scores of texts by probes of the concepts, then by those of shuffled labels.

    Raises:
        UsageError: a concept's texts are in groups that test the label.
    """
    from ...tools.errors import UsageError
    from ...tools.representation.groups import shuffled_labels
    from ...tools.representation.probe import fitted

    random = np.random.default_rng(seed)
    unseen = ~np.isin(sets.group, test_groups)
    columns: list[list[np.ndarray]] = [[] for _ in range(1 + SHUFFLED)]
    for place in range(1, len(sets.names)):
        rows = np.flatnonzero((sets.place == place) & unseen)
        group = np.unique(sets.group[rows], return_inverse=True)[1]
        own = sets.classes[rows]
        if len(np.unique(own)) < 2:
            raise UsageError(
                f"of the concept {sets.names[place]!r} {len(rows)} texts, without both labels, are in "
                "groups that do not test the label; give a concept with other texts"
            )
        for number, column in enumerate(columns):
            labels = shuffled_labels(own, group, random) if number else own
            column.append(fitted(sets.vectors[rows], labels).decision_function(texts))
    return [np.stack(column, axis=1) for column in columns]


def _right(
    scores: Float[np.ndarray, "text concept"],
    label: Int[np.ndarray, " text"],
    explore: Int[np.ndarray, " explore"],
    test: Int[np.ndarray, " test"],
) -> Float[np.ndarray, " test"]:
    """Which test texts are predicted from these scores; without any, the most frequent label is."""
    from sklearn.preprocessing import PolynomialFeatures

    from ...tools.representation.probe import fitted

    if not scores.shape[1]:
        return (label[test] == np.bincount(label[explore]).argmax()).astype(float)
    scaled = (scores - scores[explore].mean(axis=0)) / scores[explore].std(axis=0)
    seen = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(scaled)
    return (fitted(seen[explore], label[explore]).predict(seen[test]) == label[test]).astype(float)


def _bars(rows: Sequence[Mapping[str, Any]], target: str) -> BarChart:
    columns = ("predicted from", "accuracy", "low", "high", "control")
    names, values, low, high, control = ([row[column] for row in rows] for column in columns)
    title = f"What predicts the label of {target}"
    return BarChart(
        "accuracy", title, "accuracy on unseen groups", names, values, low, high, control
    )
