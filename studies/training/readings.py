"""Readings: at which checkpoints can a probe read a label off the stream?

1. Groups of texts go to explore, select and test, the same at every checkpoint. At each checkpoint a
   probe of every place is fitted on explore, and one of the control task: random labels of groups
   (`tools/representation/probe`).
2. The place is the one that is read best at the last checkpoint, on select. The claims are about test.
3. Readable: accuracy at the last checkpoint. Control: the most frequent label, or the control task if
   that is larger.
4. Learned: accuracy at the last checkpoint less that at the first, on the same texts. Control: 0. A
   probe reads much of an untrained network as well, so the first claim alone says nothing of training
   (Zhang & Bowman 2018, arXiv 1809.10040).
5. A checkpoint reads the label if the interval of its accuracy is above the control of 3, at the level
   at which all checkpoints hold together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...evals.statistics.grouped import mean_over_groups
from ..figures import HeatMap, LinePlot, PlottedLine
from ..result import StudyClaim
from ..verdicts import above, joint_level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...evals.statistics.bootstrap import Interval
    from ..figures import Figure
    from ..measurements import Measured
    from ..representation.layer_vectors import Pooled
    from ..study_context import StudyContext

CLAIMS = 2


class LabelReadings(NamedTuple):
    """What probes read of one data set's labels: a measurement for each checkpoint."""

    data: str
    checkpoints: Sequence[Measured]


class ConcludedReadings(NamedTuple):
    """The claims, additional columns for the row of each checkpoint, and the figures."""

    claims: list[StudyClaim]
    columns: list[dict[str, object]]
    figures: list[Figure]


def measure_readings(
    study: StudyContext, place: int, data: str, texts: int, pooling: Pooled, seed: int
) -> Measured:
    """Which select and test texts probes of one checkpoint read, at each place."""
    from ..representation.layer_vectors import measure_vectors

    return probe_checkpoint(measure_vectors(study, data, texts, pooling, seed, place), data, seed)


def probe_checkpoint(measured: Measured, data: str, seed: int) -> Measured:
    """The same for vectors that are measured already.

    Raises:
        UsageError: the groups do not suffice for each class to be in each part.
        ArgumentError: one class only, or labels that are measurements.
    """
    from ...tools.datasets import split_by_group
    from ...tools.representation.groups import control_labels, label_classes
    from ...tools.representation.probe import probe_places

    classes = label_classes(measured["label"].tolist(), data).classes
    group = np.unique(measured["group"], return_inverse=True)[1]
    explore, select, test = split_by_group(classes, group, seed)
    controls = control_labels(classes, group, np.random.default_rng(seed))
    probed = probe_places(measured["vectors"], classes, controls, explore, seed=seed)
    correct = np.stack([read.correct for read in probed])  # place text
    control = np.stack([read.control for read in probed])
    return {
        "place": measured["layer"],
        "select": correct[:, select],
        "test": correct[:, test],
        "control": control[:, test],
        "class": classes[test],
        "group": group[test],
    }


def conclude_readings(readings: LabelReadings, level: float, seed: int) -> ConcludedReadings:
    """Two claims about the chosen place, which is the same at all checkpoints."""
    data, checkpoints = readings
    last = checkpoints[-1]
    chosen = int(last["select"].mean(axis=1).argmax())
    place = str(last["place"][chosen])
    group = last["group"]
    n = len(np.unique(group))
    majority = float(np.bincount(last["class"]).max() / len(last["class"]))
    correct = [measured["test"][chosen].astype(float) for measured in checkpoints]
    controls = [float(measured["control"][chosen].mean()) for measured in checkpoints]
    floors = [max(majority, control) for control in controls]

    def accuracy(values: np.ndarray, at_level: float) -> Interval:
        return mean_over_groups(values, group.tolist(), level=at_level, seed=seed)

    claims = [
        above(
            f"{data} can be read at {place} of the last checkpoint: accuracy on groups that no "
            "probe saw",
            accuracy(correct[-1], level),
            floors[-1],
            n,
        ),
        above(
            f"{data} is read better at {place} of the last checkpoint than of the first",
            accuracy(correct[-1] - correct[0], level),
            0.0,
            n,
        ),
    ]
    intervals = [accuracy(values, joint_level(len(correct))) for values in correct]
    columns: list[dict[str, object]] = [
        {
            "accuracy": interval.value,
            "control labels": control,
            "reads it": above("", interval, floor, n).verdict == "supported",
        }
        for interval, control, floor in zip(intervals, controls, floors, strict=True)
    ]
    return ConcludedReadings(claims, columns, _figures(readings, place, intervals, controls))


def _figures(
    readings: LabelReadings, place: str, intervals: Sequence[Interval], controls: Sequence[float]
) -> list[Figure]:
    data, checkpoints = readings
    steps = list(range(len(checkpoints)))
    values, low, high = (list(ends) for ends in zip(*intervals, strict=True))
    by_place = np.stack([measured["test"].mean(axis=1) for measured in checkpoints], axis=1)
    lines = [
        PlottedLine(data, steps, values, low, high),
        PlottedLine("random labels of groups", steps, controls, is_control=True),
    ]
    return [
        LinePlot("readings", f"Probes of {data} at {place}", "checkpoint", "accuracy", lines),
        HeatMap(
            "readings-map",
            f"Probes of {data} at all places: accuracy",
            "checkpoint",
            "layer",
            [str(step) for step in steps],
            checkpoints[-1]["place"].tolist(),
            by_place.tolist(),
        ),
    ]
