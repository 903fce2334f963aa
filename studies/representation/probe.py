"""Probe: at which layers can a classifier read a label off the stream?

1. A vector of each text after each layer, the word embeddings first.
2. Groups go to explore, select and test. A probe of each layer, and of the control task, is fitted on
   explore (`tools/representation/probe`). The layer is the one with the best accuracy on select; the
   claims are about test, on which nothing was chosen.
3. With `codelength` the texts are halved: the layer with the shortest online code on one half, its
   code on the other (`tools/representation/codelength`).
4. Controls: random labels of groups, the most frequent label, and the same probe of the word
   embedding, which knows the last token and nothing before it.

Hewitt & Liang, "Designing and Interpreting Probes with Control Tasks" (EMNLP 2019); Voita & Titov,
"Information-Theoretic Probing with Minimum Description Length" (EMNLP 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, below, cannot_say, joint_level
from .layer_vectors import DatasetName, Pooling, TextCount, measure_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from ...evals.statistics.bootstrap import Interval
    from ...tools.representation.groups import LabelClasses

Method = Literal["linear", "mlp", "codelength"]


@study("probe", question="At which layers can a classifier read a label off the stream?")
def probe(
    study: StudyContext,
    data: DatasetName = "probing/tense",
    method: Annotated[
        Method,
        Field(description="accuracy of a line or of a perceptron, or bits that the stream saves"),
    ] = "linear",
    texts: TextCount = 2000,
    pooling: Pooling = "last",
    seed: int = 0,
) -> StudyResult:
    """Probe every layer for the labels of a data set, always next to a control task.

    Texts of one group (the same noun, the same template) are never in both what a probe is fitted on
    and what tests it. That a probe can read a label does not mean that the model uses it.
    """
    measured = study.measured("vectors", lambda: measure_vectors(study, data, texts, pooling, seed))
    return conclude(
        measured["vectors"],
        measured["layer"].tolist(),
        measured["label"].tolist(),
        measured["group"],
        method,
        seed,
    )


def conclude(
    vectors: Float[np.ndarray, "place text width"],
    names: Sequence[str],
    labels: Sequence[str],
    group: Int[np.ndarray, " text"],
    method: Method = "linear",
    seed: int = 0,
) -> StudyResult:
    """Two claims about the chosen layer, a row and a point for each layer."""
    from ...tools.representation.groups import control_labels, label_classes

    known = label_classes(labels)
    group = np.unique(group, return_inverse=True)[1]
    control = control_labels(known.classes, group, np.random.default_rng(seed))
    if method == "codelength":
        return _conclude_code(vectors, names, known, control, group, seed)
    return _conclude_accuracy(vectors, names, known, control, group, method, seed)


def _conclude_accuracy(
    vectors: Float[np.ndarray, "place text width"],
    names: Sequence[str],
    known: LabelClasses,
    control: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    kind: Literal["linear", "mlp"],
    seed: int,
) -> StudyResult:
    from ...tools.datasets import split_by_group
    from ...tools.representation.probe import probe_places

    explore, select, test = split_by_group(known.classes, group, seed)
    places = probe_places(vectors, known.classes, control, explore, kind=kind, seed=seed)
    best = int(np.argmax([place.correct[select].mean() for place in places]))
    majority = float(np.bincount(known.classes[test]).max() / len(test))
    right = [place.correct[test].astype(float) for place in places]
    controls = [float(place.control[test].mean()) for place in places]
    of, level = group[test].tolist(), joint_level(2)
    n = len(set(of))
    gain = mean_over_groups(right[best] - right[0], of, level=level, seed=seed, bounds=(-1, 1))
    claims = [
        above(
            f"the label can be read at {names[best]}: accuracy on groups that no probe saw",
            mean_over_groups(right[best], of, level=level, seed=seed),
            max(majority, controls[best]),
            n,
        ),
        above(f"{names[best]} tells more of the label than the word embedding does", gain, 0.0, n)
        if best
        else cannot_say("no layer tells more of the label than the word embedding: it is best", n),
    ]
    intervals = [mean_over_groups(each, of, seed=seed) for each in right]
    rows = [
        {
            "layer": name,
            "accuracy": interval.value,
            "low": interval.low,
            "high": interval.high,
            "control": at_chance,
            "selectivity": interval.value - at_chance,
            "majority": majority,
        }
        for name, interval, at_chance in zip(names, intervals, controls, strict=True)
    ]
    title = f"Accuracy of a {'linear probe' if kind == 'linear' else 'perceptron'} by layer"
    return StudyResult(rows, claims, [_by_layer(title, "accuracy", intervals, controls)])


def _conclude_code(
    vectors: Float[np.ndarray, "place text width"],
    names: Sequence[str],
    known: LabelClasses,
    control: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    seed: int,
) -> StudyResult:
    from ...tools.datasets import split_by_group
    from ...tools.representation.codelength import codelength

    half, _, other = split_by_group(known.classes, group, seed, (0.5, 0.0, 0.5))
    parts = [np.unique(group[rows], return_inverse=True)[1] for rows in (half, other)]
    chosen_on = [codelength(v[half], known.classes[half], parts[0], seed=seed) for v in vectors]
    best = int(np.argmin([code.total for code in chosen_on]))
    codes = [codelength(v[other], known.classes[other], parts[1], seed=seed) for v in vectors]
    random = [codelength(v[other], control[other], parts[1], seed=seed) for v in vectors]
    uniform = float(np.log2(len(known.names)))
    controls = [code.total / len(other) for code in random]
    of, level = parts[1].tolist(), joint_level(2)
    n = len(set(of))
    saved = mean_over_groups(codes[best].bits - codes[0].bits, of, level=level, seed=seed)
    claims = [
        below(
            f"the stream at {names[best]} shortens the code of the labels: bits a label",
            mean_over_groups(codes[best].bits, of, level=level, seed=seed),
            min(uniform, controls[best]),
            n,
        ),
        below(f"{names[best]} saves bits that the word embedding does not", saved, 0.0, n)
        if best
        else cannot_say("no layer saves more bits than the word embedding, which is best", n),
    ]
    intervals = [mean_over_groups(code.bits, of, seed=seed) for code in codes]
    rows = [
        {
            "layer": name,
            "bits": code.total,
            "uniform": code.uniform,
            "control": control_code.total,
            "compression": code.compression,
            "C": code.inverse_penalty,
        }
        for name, code, control_code in zip(names, codes, random, strict=True)
    ]
    title = "Online codelength of the labels by layer"
    return StudyResult(rows, claims, [_by_layer(title, "bits a label", intervals, controls)])


def _by_layer(
    title: str, y_label: str, intervals: Sequence[Interval], controls: Sequence[float]
) -> LinePlot:
    layers = list(range(-1, len(intervals) - 1))
    low, high = [i.low for i in intervals], [i.high for i in intervals]
    lines = [PlottedLine("label", layers, [i.value for i in intervals], low, high)]
    lines.append(PlottedLine("random labels of groups", layers, controls, is_control=True))
    return LinePlot("layers", title, "layer (-1: word embedding)", y_label, lines)
