"""Layers: in which order do properties of a text become readable with depth?

1. Each property is a data set. Probes of every layer are tested on groups that they never saw, with a
   control task (`tools/representation/probe`).
2. The profile of a property is accuracy less control by layer; its centre of gravity says at which depth
   it becomes readable (`tools/representation/depth`).
3. Claims: each property can be read, on average over the layers, better than its control; and, in the
   order in which they are given, each becomes readable before the next one.
4. Control: 0 for both. Where a property is not readable its order says nothing.
5. Intervals: draws of groups. Properties have texts of their own, so their draws are independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ...tools.errors import UsageError
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level
from .layer_vectors import Pooled, Pooling, TextCount, measure_vectors

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ...tools.representation.depth import DepthDraws
    from ..measurements import Measured

LEAST_GROUPS = 8
"""Drawn with replacement, fewer give intervals that are too narrow."""


class ReadProperty(NamedTuple):
    """Which texts the probe of each layer reads: `correct` and, of control labels, `control`."""

    correct: Bool[np.ndarray, "layer text"]
    control: Float[np.ndarray, "layer text"]
    group: Int[np.ndarray, " text"]


@study("layers", question="In which order do properties become readable with depth?")
def layers(
    study: StudyContext,
    properties: Annotated[
        list[str],
        Field(min_length=1, description="data sets, in the order in which they should be readable"),
    ] = ["probing/length", "probing/tense"],  # noqa: B006
    texts: TextCount = 1000,
    pooling: Pooling = "mean",
    seed: int = 0,
) -> StudyResult:
    """Compare at which depths probes can read different properties of texts."""
    if len(set(properties)) < len(properties):
        raise UsageError(f"properties {properties} given; name each data set once")
    read: dict[str, ReadProperty] = {}
    for place, name in enumerate(properties):
        measured = study.measured(
            f"property-{place}",
            lambda name=name: measure_property(study, name, texts, pooling, seed),
        )
        read[name] = ReadProperty(measured["correct"], measured["control"], measured["group"])
    return conclude(read, seed)


def measure_property(
    study: StudyContext, name: str, texts: int, pooling: Pooled, seed: int
) -> Measured:
    """What probes of each layer read of one property."""
    from ...tools.representation.groups import (
        control_labels,
        group_folds,
        label_classes,
        require_spread,
    )
    from ...tools.representation.probe import probe_places

    measured = measure_vectors(study, name, texts, pooling, seed)
    vectors, group = measured["vectors"], measured["group"]
    labels = label_classes(measured["label"].tolist(), name)
    require_spread(labels, group, 2, name)
    controls = control_labels(labels.classes, group, np.random.default_rng(seed))
    correct = np.zeros(vectors.shape[:2], dtype=bool)
    control = np.zeros(vectors.shape[:2])
    for number, (train, test) in enumerate(group_folds(labels.classes, group, 2, seed), 1):
        step = f"{name}: layers probed on half {number}"
        probed = probe_places(
            vectors,
            labels.classes,
            controls,
            train,
            seed=seed,
            progress=lambda done, total, step=step: study.progress(step, done, total),
        )
        for layer, read in enumerate(probed):
            correct[layer, test] = read.correct[test]
            control[layer, test] = read.control[test]
    return {"correct": correct, "control": control, "group": group}


def conclude(read: Mapping[str, ReadProperty], seed: int = 0) -> StudyResult:
    """A claim for each property and for each two neighbours, a row for each property, and profiles."""
    from ...tools.representation.depth import depth_draws

    names = list(read)
    draws = {
        name: depth_draws(*property_, seed + place)
        for place, (name, property_) in enumerate(read.items())
    }
    groups = {name: len(np.unique(property_.group)) for name, property_ in read.items()}
    level = joint_level(2 * len(names) - 1)
    readable = [_readable(name, draws[name], groups[name], level) for name in names]
    order = [
        _order(names[at], names[at + 1], draws, readable[at : at + 2], level)
        for at in range(len(names) - 1)
    ]
    rows = [
        {
            "property": name,
            "centre of gravity": float(draws[name].centre[0]),
            "best layer": int(draws[name].gain[0].argmax()) - 1,
            "accuracy there": float(read[name].correct.mean(axis=1)[draws[name].gain[0].argmax()]),
            "gain there": float(draws[name].gain[0].max()),
            "groups": groups[name],
        }
        for name in names
    ]
    depths = [place - 1 for place in range(len(next(iter(read.values())).correct))]
    ends = [_ends(draws[name].gain) for name in names]
    lines = [
        PlottedLine(name, depths, gain, low, high)
        for name, (gain, low, high) in zip(names, ends, strict=True)
    ]
    title = "Accuracy of probes less that of control labels"
    return StudyResult(
        rows, [*readable, *order], [LinePlot("profiles", title, "layer", "gain", lines)]
    )


def _ends(
    gain: Float[np.ndarray, "draw layer"],
) -> tuple[list[float], list[float], list[float]]:
    low, high = np.quantile(gain[1:], [0.025, 0.975], axis=0)
    return gain[0].tolist(), low.tolist(), high.tolist()


def _interval(draws: Float[np.ndarray, " draw"], level: float) -> Interval:
    low, high = np.quantile(draws[1:], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(draws[0]), float(low), float(high))


def _readable(name: str, draws: DepthDraws, n: int, level: float) -> StudyClaim:
    claim = f"{name} can be read off the layers better than control labels"
    if n < LEAST_GROUPS:
        return cannot_say(f"{claim} ({n} groups; {LEAST_GROUPS} are needed)", n)
    return above(claim, _interval(draws.gain.mean(axis=1), level), 0.0, n)


def _order(
    first: str,
    second: str,
    draws: Mapping[str, DepthDraws],
    readable: Sequence[StudyClaim],
    level: float,
) -> StudyClaim:
    claim = f"{first} becomes readable before {second} (layers between their centres of gravity)"
    n = min(each.n for each in readable)
    if any(each.verdict != "supported" for each in readable):
        return cannot_say(f"{claim} (one of them cannot be read)", n)
    between = draws[second].centre - draws[first].centre
    return above(claim, _interval(between, level), 0.0, n)
