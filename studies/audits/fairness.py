"""Fairness: is text about one group predicted worse than the same text about others?

1. A figure for each text: by default the loss per token of what follows a group's name in a neutral
   sentence that is filled with every group (`group_texts`); for a data set, the loss per token of each
   text.
2. The gap of a group: its mean figure less that of all other groups.
3. Control: 0, and the largest gap when groups are shuffled, which is what the largest of several
   gaps is by chance: within each sentence, or where each sentence has one group only, between them.
4. Intervals: bootstrap over sentences (or the data set's groups), at one joint level for all groups.

Hardt et al. (2016) and Barocas et al., "Fairness and Machine Learning" (2023), on group metrics. A gap
in loss is a gap in prediction; whether it harms somebody depends on the use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import difference_over_groups
from ...tools.errors import UsageError
from ..figures import BarChart
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level
from .group_texts import Family

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.subject import Subject
    from ..measurements import Measured

SHUFFLES = 200
MOST_GROUPS = 20


@study("fairness", question="Is text about one group predicted worse than about the others?")
def fairness(
    study: StudyContext,
    family: Annotated[
        Family, Field(description="of groups, in the built-in sentences")
    ] = "religion",
    data: Annotated[
        str | None, Field(description="a data set in place of the sentences, or a table")
    ] = None,
    by: Annotated[str, Field(description="the data set's slice that says the group")] = "group",
    seed: int = 0,
) -> StudyResult:
    """Measure the gap in loss of each group against the others, with intervals.

    The built-in sentences differ in the group's name only, so that a gap is due to the name.
    """
    if data is None:
        measured = study.measured("losses", lambda: measure_sentences(study, family))
    else:
        measured = study.measured("losses", lambda: measure_data(study, data, by))
    return conclude(measured, seed)


def measure_sentences(study: StudyContext, family: Family) -> Measured:
    """Loss per token after the group's name, for every sentence and group."""
    from ...tools.behaviour import continuation_probabilities
    from .group_texts import group_texts

    rows = group_texts(family)
    subject = study.subject
    scored = continuation_probabilities(
        subject,
        [row.named for row in rows],
        [row.text[len(row.named) :] for row in rows],
        start=_start_if_any(subject),
    )
    return {
        "figure": -scored.means,
        "group": np.array([row.group for row in rows]),
        "cluster": np.array([row.template for row in rows]),
    }


def measure_data(study: StudyContext, data: str, by: str) -> Measured:
    """Loss per token of each text of a data set."""
    from ...tools.behaviour import text_probabilities
    from ...tools.datasets import read_dataset

    rows = read_dataset(data)
    if by not in rows.slices:
        known = ", ".join(rows.slices) or "none"
        raise UsageError(
            f"the data set {data!r} has no slice {by!r}; it has {known}: name one of them with "
            f"--by, or a column of a table with '::slices=COLUMN'"
        )
    subject = study.subject
    scored = text_probabilities(subject, rows.texts, start=_start_if_any(subject), too_long="cut")
    return {
        "figure": -scored.means,
        "group": np.array(rows.slices[by]),
        "cluster": np.array(rows.groups),
    }


def _start_if_any(subject: Subject) -> int | None:
    """The token that begins a text; without one a text is read from its second token on."""
    from ...tools.behaviour import start_token

    try:
        return start_token(subject)
    except UsageError:
        return None


def conclude(measured: Measured, seed: int = 0) -> StudyResult:
    """A claim, a row and a bar for each group."""
    figure, group = measured["figure"].astype(np.float64), measured["group"]
    cluster = measured["cluster"].tolist()
    names = sorted(set(group.tolist()))
    if not 2 <= len(names) <= MOST_GROUPS:
        raise UsageError(f"{len(names)} groups given; a comparison takes 2 to {MOST_GROUPS}")
    level = joint_level(len(names))
    chance = largest_by_chance(figure, group, measured["cluster"], seed)
    claims: list[StudyClaim] = []
    rows: list[dict[str, Any]] = []
    for name in names:
        member = group == name
        gap = difference_over_groups(figure, member, cluster, level=level, seed=seed)
        n = len({cluster[place] for place in np.flatnonzero(member)})
        claims.append(above(f"text about {name!r} is predicted worse than the others", gap, 0.0, n))
        rows.append(
            {
                "group": name,
                "mean": float(figure[member].mean()),
                "gap": gap.value,
                "low": gap.low,
                "high": gap.high,
                "largest_by_chance": chance,
                "n": n,
            }
        )
    chart = BarChart(
        "gaps",
        "Loss about each group less that about the others",
        "nats per token",
        names,
        [row["gap"] for row in rows],
        [row["low"] for row in rows],
        [row["high"] for row in rows],
        [chance] * len(rows),
    )
    return StudyResult(rows, claims, [chart])


def largest_by_chance(
    figure: Float[np.ndarray, " row"], group: np.ndarray, cluster: np.ndarray, seed: int
) -> float:
    """The 95th percentile of the largest gap when groups are shuffled.

    Within each cluster; where no cluster has two groups, whole clusters exchange theirs.
    """
    rng = np.random.default_rng(seed)
    names, number = np.unique(group, return_inverse=True)
    _, cluster = np.unique(cluster, return_inverse=True)
    order = np.argsort(cluster, kind="stable")
    clusters = np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)
    group_of = np.array([number[places[0]] for places in clusters])
    is_between = (number == group_of[cluster]).all()
    largest: list[float] = []
    for _ in range(SHUFFLES):
        shuffled = number.copy()
        if is_between:
            shuffled = rng.permutation(group_of)[cluster]
        else:
            for places in clusters:
                shuffled[places] = rng.permutation(number[places])
        counts = np.bincount(shuffled, minlength=len(names))
        sums = np.bincount(shuffled, figure, len(names))
        gaps = sums / counts - (sums.sum() - sums) / np.maximum(counts.sum() - counts, 1)
        largest.append(float(gaps.max()))
    return float(np.quantile(largest, 0.95))
