"""Probe transfer: does a probe that was fitted on one data set read the label in another?

1. Vectors of several data sets with the same two labels after one layer (`several_sets`).
2. Groups of all sets together go to two halves. A linear probe of each set is fitted on its texts in
   the first half, and scores the texts of every set in the second.
3. The figure is the area under the ROC curve (AUC), which does not depend on where the probe cuts:
   the same direction in two sets may have another middle.
4. Control: probes of shuffled labels of the sets other than the tested one. Any direction reads another
   one by chance as far as the two are not orthogonal, so that the control is the best of these probes:
   `SHUFFLED` for each claim that the study makes.
5. Intervals: bootstrap over the groups of the tested set, all claims together at 95 %.

A probe that transfers reads something that the sets share, which need not be the label itself; one that
does not was reading what only its own set has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.auc import auc_over_groups
from ..figures import HeatMap
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level
from .layer_vectors import Pooling, TextCount
from .several_sets import SeveralSets, measure_sets

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...evals.statistics.bootstrap import Interval

SHUFFLED = 20
"""Of shuffled labels for each claim, so that in at most 5 % of studies a random direction beats them."""
CHANCE = 0.5


@study("probe-transfer", question="Does a probe of one data set read the label in another?")
def probe_transfer(
    study: StudyContext,
    data: Annotated[
        list[str],
        Field(min_length=2, max_length=6, description="data sets with the same two labels"),
    ] = ["sae-probes/92_glue_sst2", "sae-probes/113_movie_sent"],  # noqa: B006
    layer: Annotated[int | None, Field(ge=0, description="default: the middle one")] = None,
    texts: TextCount = 600,
    pooling: Pooling = "last",
    seed: int = 0,
) -> StudyResult:
    """Fit a probe on each data set and test it on all the others, one claim for each pair."""
    measured = study.measured(
        "sets", lambda: measure_sets(study, data, layer, texts, pooling, seed, same_labels=True)
    )
    return conclude(SeveralSets.of(measured), int(measured["layer"]), seed)


def conclude(sets: SeveralSets, layer: int, seed: int = 0) -> StudyResult:
    """A claim for each ordered pair of sets, a row for each cell of the matrix."""
    from ...tools.datasets import split_by_group

    names = sets.names
    labels = [f"{names[at]}: {y}" for at, y in zip(sets.place, sets.classes, strict=True)]
    fit, _, test = split_by_group(labels, sets.group, seed, (0.5, 0.0, 0.5))
    tested = [test[sets.place[test] == at] for at in range(len(names))]
    level = joint_level(len(names) * (len(names) - 1))
    areas = []
    best = np.full((len(names), len(names)), CHANCE)  # of the shuffled probes of a set, on each set
    for at in range(len(names)):
        scores, *shuffled = _scores(sets, fit[sets.place[fit] == at], seed + at)
        areas.append([_area(scores, sets, rows, level, seed) for rows in tested])
        best[at] = [_best_area(shuffled, sets, rows) for rows in tested]
    np.fill_diagonal(best, CHANCE)
    controls = best.max(axis=0).tolist()
    claims = [
        above(
            f"a probe of {names[a]} at resid.{layer} reads the label in {names[b]} better than the "
            "best of shuffled labels (AUC)",
            areas[a][b],
            controls[b],
            len(np.unique(sets.group[tested[b]])),
        )
        for a, b in np.ndindex(best.shape)
        if a != b
    ]
    rows = [
        {
            "fitted on": names[a],
            "tested on": names[b],
            "auc": areas[a][b].value,
            "low": areas[a][b].low,
            "high": areas[a][b].high,
            "best of shuffled": controls[b],
            "auc of its own probe": areas[b][b].value,
        }
        for a, b in np.ndindex(best.shape)
    ]
    matrix = [[area.value for area in row] for row in areas]
    title = f"AUC of probes of resid.{layer} on texts whose groups no probe saw"
    figure = HeatMap("transfer", title, "tested on", "fitted on", names, names, matrix)
    return StudyResult(rows, claims, [figure])


def _scores(
    sets: SeveralSets, rows: Int[np.ndarray, " fit"], seed: int
) -> list[Float[np.ndarray, " text"]]:
    """Of all texts, by a probe that is fitted on some, and by probes of their labels shuffled."""
    from ...tools.representation.groups import shuffled_labels
    from ...tools.representation.probe import fitted

    random = np.random.default_rng(seed)
    group = np.unique(sets.group[rows], return_inverse=True)[1]
    own = sets.classes[rows]
    n = SHUFFLED * len(sets.names)
    labellings = [own, *(shuffled_labels(own, group, random) for _ in range(n))]
    probes = [fitted(sets.vectors[rows], labels) for labels in labellings]
    return [probe.decision_function(sets.vectors) for probe in probes]


def _area(
    scores: Float[np.ndarray, " text"],
    sets: SeveralSets,
    rows: Int[np.ndarray, " test"],
    level: float,
    seed: int,
) -> Interval:
    return auc_over_groups(
        scores[rows], sets.classes[rows], sets.group[rows], level=level, seed=seed
    )


def _best_area(
    shuffled: list[Float[np.ndarray, " text"]], sets: SeveralSets, rows: Int[np.ndarray, " test"]
) -> float:
    from sklearn.metrics import roc_auc_score

    return max(CHANCE, *(float(roc_auc_score(sets.classes[rows], each[rows])) for each in shuffled))
