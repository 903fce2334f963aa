"""The 113 binary tasks of SAE-Probes: how much does the stream at a text's last token tell?

1. Texts of a task: each different one once, without those that have both labels. Up to `train` and
   `test` of each, the classes alike and near-duplicates never on both sides. Of a long text the last
   `max_tokens` tokens are read. Which texts are chosen depends on the texts alone, so that tasks
   over the same texts choose the same ones.
2. The layer: validation AUC on every ninth task, of every third layer. Of those that are within one
   standard error of the best the first is taken, which costs least. No test text has a part in it.
3. At that layer every setting of `tools/representation/binary_probing`; the eight tasks that have
   texts of another origin are also tested on these.
4. Controls: shuffled train labels, the embedding of the last token, the most frequent class.
5. Claims are about the mean over tasks. Intervals are over sets of tasks that share texts: three tasks
   about the same headlines are one.

Kantamneni et al., "Are Sparse Autoencoders Useful? A Case Study in Sparse Probing" (ICML 2025), which
trains on up to 1,024 texts of up to 1,024 tokens.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import mean_over_groups
from ..figures import BarChart, ScatterPlot
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float, Int

    from ...evals.statistics.bootstrap import Interval
    from ...tools.datasets import LabelledTexts
    from ...tools.datasets.sae_probes import SaeProbesTask
    from ...tools.representation.binary_probing import BinaryScore, TrainTest
    from ...tools.subject.address import Site
    from ..measurements import Measured

PILOT_TASKS, PILOT_LAYERS, PILOT_TEXTS = 9, 3, 240
"""Every ninth task and every third layer; of a pilot task so many train texts."""
LEAST_TEXTS = 100
"""Of each class, or of all if there are few: a task with fewer different texts has no score."""


@study("sae-probes", question="How much can be read off the stream at the last token of a text?")
def sae_probes(
    study: StudyContext,
    tasks: Annotated[
        tuple[str, ...], Field(description="names of tasks without sae-probes/, or all")
    ] = ("all",),
    layer: Annotated[
        int | None, Field(ge=0, description="the stream after it; none: chosen on a pilot")
    ] = None,
    train: Annotated[int, Field(ge=40, le=1024, description="train texts of a task")] = 256,
    test: Annotated[int, Field(ge=40, le=2000, description="test texts of a task")] = 128,
    max_tokens: Annotated[int, Field(ge=1, le=1024, description="read of a long text")] = 24,
    seed: int = 0,
) -> StudyResult:
    """Run the probing protocol of sae-probes: AUC of logistic regression on 113 binary tasks.

    Settings: standard, few texts, few of a class, wrong labels, texts of another origin.
    """
    sizes = Sizes(train, test, max_tokens)
    chosen = chosen_tasks(tasks)
    if layer is None:
        pilot = study.measured("pilot", lambda: measure_pilot(study, chosen, sizes, seed))
        layer = first_good_layer(pilot["layer"], pilot["validation_auc"])
    scores = {}
    for number, task in enumerate(chosen):
        study.progress("tasks", number, len(chosen))
        scores[task.name] = study.measured(
            f"task-{task.name}", lambda task=task: measure_task(study, task, layer, sizes, seed)
        )
    return conclude(scores, layer, seed)


def first_good_layer(
    layers: Int[np.ndarray, " layer"], aucs: Float[np.ndarray, "task layer"]
) -> int:
    """The first layer that is within one standard error of the best one (Breiman et al. 1984)."""
    deficit = aucs[:, aucs.mean(axis=0).argmax()][:, None] - aucs
    error = deficit.std(axis=0) / np.sqrt(max(1, len(aucs) - 1))
    return int(layers[(deficit.mean(axis=0) <= error).argmax()])


class Sizes(NamedTuple):
    """Texts to train on and to test on, and tokens that are read of each."""

    train: int
    test: int
    max_tokens: int


def chosen_tasks(names: Sequence[str]) -> list[SaeProbesTask]:
    """Tasks by name, in the package's order; raises UsageError for an unknown one."""
    from ...tools.datasets.sae_probes import sae_probes_tasks
    from ...tools.errors import UsageError

    known = {n: task for n, task in sae_probes_tasks().items() if not task.is_out_of_distribution}
    if list(names) == ["all"]:
        return list(known.values())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"no task {unknown[0]!r} of sae-probes; there are {', '.join(list(known)[:5])} and "
            f"{len(known) - 5} more (or all)"
        )
    return [known[name] for name in names]


def _digest(text: str) -> int:
    """A number for a text: it orders texts at random, and the same text the same way in every task."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


class TaskTexts(NamedTuple):
    """Texts of a task with classes 0 and 1, and a group for each train text."""

    texts: list[str]
    classes: np.ndarray
    train: np.ndarray
    group: np.ndarray
    test: np.ndarray

    def split(self, vectors: np.ndarray) -> TrainTest:
        """The vectors of the texts as data of a probe."""
        from ...tools.representation.binary_probing import TrainTest

        return TrainTest(
            vectors[self.train],
            self.classes[self.train],
            self.group,
            vectors[self.test],
            self.classes[self.test],
        )


def task_texts(data: LabelledTexts, sizes: Sizes, seed: int) -> TaskTexts:
    """Different texts with one label each, the classes alike, split by group."""
    from ...tools.datasets import independent_groups, split_by_group

    data.require_classes(2)
    classes_of: dict[str, set[int]] = defaultdict(set)
    for text, number in zip(data.texts, data.class_numbers.tolist(), strict=True):
        classes_of[text].add(number)
    by_class: list[list[str]] = [[], []]
    for text in sorted(classes_of, key=_digest):
        if len(classes_of[text]) == 1:
            by_class[min(classes_of[text])].append(text)
    each = min((sizes.train + sizes.test) // 2, *(len(texts) for texts in by_class))
    texts = [text for of_class in by_class for text in of_class[:each]]
    classes = np.repeat([0, 1], each)
    group = independent_groups(texts)
    share = sizes.train / (sizes.train + sizes.test)
    parts = split_by_group(classes, group, seed, (share, 0.0, 1 - share))
    return TaskTexts(texts, classes, parts.explore, group[parts.explore], parts.test)


def measure_pilot(
    study: StudyContext, tasks: Sequence[SaeProbesTask], sizes: Sizes, seed: int
) -> Measured:
    """Validation AUC of train texts by task and layer."""
    from ...tools.datasets.sae_probes import read_task
    from ...tools.representation.binary_probing import fit_binary
    from ...tools.subject.address import Site

    layers = list(range(2, study.subject.shape.n_layers, PILOT_LAYERS)) or [0]
    aucs, pilot_tasks = [], tasks[::PILOT_TASKS]
    for number, task in enumerate(pilot_tasks):
        study.progress("pilot tasks, all layers", number, len(pilot_tasks))
        chosen = task_texts(read_task(task), sizes, seed)
        rows = chosen.train[:: max(1, len(chosen.train) // PILOT_TEXTS)]
        group = chosen.group[:: max(1, len(chosen.train) // PILOT_TEXTS)]
        sites = [Site("stream", layer) for layer in layers]
        vectors = _vectors(study, [chosen.texts[row] for row in rows], sites, sizes)
        fits = [fit_binary(place, chosen.classes[rows], group, seed) for place in vectors]
        aucs.append([fit.validation_auc or 0.5 for fit in fits])
    return {"layer": np.array(layers), "validation_auc": np.array(aucs)}


def measure_task(
    study: StudyContext, task: SaeProbesTask, layer: int, sizes: Sizes, seed: int
) -> Measured:
    """Scores of a task in every setting, as columns."""
    from ...tools.datasets.sae_probes import read_task, sae_probes_tasks
    from ...tools.representation.binary_probing import score, score_settings
    from ...tools.representation.collect import EMBEDDING
    from ...tools.subject.address import Site

    chosen = task_texts(read_task(task), sizes, seed)
    sites = [EMBEDDING, Site("stream", layer)]
    embedded, vectors = _vectors(study, chosen.texts, sites, sizes)
    data = chosen.split(vectors)
    # another seed for each task: the same shuffled labels in all would make one control of them
    scores = score_settings(data, seed + (_digest(task.name) >> 40))
    lookup = score(chosen.split(embedded), "standard", len(chosen.train), seed)
    other = sae_probes_tasks().get(f"{task.name}_OOD")
    if other is not None:
        test = read_task(other)
        (elsewhere,) = _vectors(study, test.texts, sites[1:], sizes)
        moved = data._replace(test=elsewhere, test_classes=test.class_numbers)
        scores.append(score(moved, "other texts", len(chosen.train), seed))
    return {
        **as_columns(scores),
        "embedding_auc": np.array([lookup.auc]),
        "texts": np.array(sorted(_digest(text) for text in chosen.texts), dtype=np.uint64),
    }


def _vectors(
    study: StudyContext, texts: Sequence[str], sites: Sequence[Site], sizes: Sizes
) -> np.ndarray:
    from ...tools.representation.collect import collect

    return collect(
        study.subject, texts, sites, max_tokens=sizes.max_tokens, too_long="keep end", fast=True
    )


COLUMNS = ("setting", "parameter", "n_train", "inverse_penalty", "auc", "accuracy", "majority")


def as_columns(scores: Iterable[BinaryScore]) -> Measured:
    """One array for each field."""
    kept = list(scores)
    return {name: np.array([getattr(score, name) for score in kept]) for name in COLUMNS}


def conclude(scores: Mapping[str, Measured], layer: int, seed: int = 0) -> StudyResult:
    """Two claims about the mean AUC, a row for each task, the settings and each task's two scores."""
    means = {key: np.array(values) for key, values in _by_setting(scores).items()}
    standard, control = means["standard"], means["control"]
    embedding = np.array([measured["embedding_auc"][0] for measured in scores.values()])
    groups = sets_of_tasks([measured["texts"] for measured in scores.values()])
    n, level = len(set(groups)), joint_level(2)
    claims = [
        above(
            f"labels of these tasks can be read at resid.{layer}: mean test AUC",
            mean_over_groups(standard, groups, level=level, seed=seed),
            max(0.5, float(control.mean())),
            n,
        ),
        above(
            f"resid.{layer} says more than the last token's embedding: mean difference of test AUC",
            mean_over_groups(standard - embedding, groups, level=level, seed=seed),
            0.0,
            n,
        ),
    ]
    rows = [
        {
            "task": name,
            "train": int(measured["n_train"][0]),
            "auc": float(measured["auc"][0]),
            "accuracy": float(measured["accuracy"][0]),
            "majority": float(measured["majority"][0]),
            "control": float(measured["auc"][measured["setting"] == "control"][0]),
            "embedding": float(measured["embedding_auc"][0]),
            "C": float(measured["inverse_penalty"][0]),
            **{key: _auc_of(measured, key) for key in means if key not in ("standard", "control")},
        }
        for name, measured in scores.items()
    ]
    intervals = {
        key: mean_over_groups(values, _of_setting(scores, key, groups), seed=seed)
        for key, values in means.items()
    }
    return StudyResult(rows, claims, [_settings(intervals), _tasks(rows)])


def sets_of_tasks(texts: Sequence[Int[np.ndarray, " text"]]) -> list[int]:
    """The number of each task's set: tasks that share a text are in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    columns = np.unique(np.concatenate(texts), return_inverse=True)[1]
    rows = np.repeat(np.arange(len(texts)), [len(each) for each in texts])
    n = len(texts) + int(columns.max()) + 1
    links = coo_array((np.ones(len(rows)), (rows, columns + len(texts))), shape=(n, n))
    return connected_components(links, directed=False)[1][: len(texts)].tolist()


def _of_setting(scores: Mapping[str, Measured], key: str, groups: Sequence[int]) -> list[int]:
    """The sets of the tasks that have a setting."""
    return [
        group
        for group, measured in zip(groups, scores.values(), strict=True)
        if _auc_of(measured, key) is not None
    ]


def _key(setting: str, parameter: float) -> str:
    return (
        setting if setting in ("standard", "control", "other texts") else f"{setting} {parameter:g}"
    )


def _by_setting(scores: Mapping[str, Measured]) -> dict[str, list[float]]:
    """AUCs of all tasks that have the setting."""
    aucs: dict[str, list[float]] = defaultdict(list)
    for measured in scores.values():
        for setting, parameter, auc in zip(
            measured["setting"], measured["parameter"], measured["auc"], strict=True
        ):
            aucs[_key(str(setting), float(parameter))].append(float(auc))
    return aucs


def _auc_of(measured: Measured, key: str) -> float | None:
    for setting, parameter, auc in zip(
        measured["setting"], measured["parameter"], measured["auc"], strict=True
    ):
        if _key(str(setting), float(parameter)) == key:
            return float(auc)
    return None


def _settings(intervals: Mapping[str, Interval]) -> BarChart:
    return BarChart(
        "settings",
        "Mean test AUC over tasks by setting",
        "AUC",
        list(intervals),
        [interval.value for interval in intervals.values()],
        [interval.low for interval in intervals.values()],
        [interval.high for interval in intervals.values()],
    )


def _tasks(rows: Sequence[Mapping[str, float | str | None]]) -> ScatterPlot:
    return ScatterPlot(
        "tasks",
        "Each task: what the embedding of the last token tells, and what the stream tells",
        "AUC, embedding",
        "AUC, stream",
        [float(row["embedding"] or 0) for row in rows],
        [float(row["auc"] or 0) for row in rows],
        [str(row["task"]) for row in rows],
    )
