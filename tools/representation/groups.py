"""Labels and the groups that are never split between what a probe sees and what tests it.

1. Labels become classes 0, 1, ...; numbers with many values are no labels.
2. Texts that share what could be memorised are one group: those that the caller says, and
   near-duplicates (`datasets.independent_groups`).
3. Folds split no group and hold the classes in about the same shares.
4. The control task gives each *group* a random class: the groups' own most frequent classes,
   shuffled among them. A probe that reads the group and not the label does no better than this.
5. Shuffled labels, for permutation tests, keep what the label has to do with the groups: those that
   vary within a group are shuffled within it, and only groups of one class exchange their classes.

Hewitt & Liang, "Designing and Interpreting Probes with Control Tasks" (EMNLP 2019). With a random
split their control reaches accuracy 1.0 at every layer of SmolLM2-135M (2,000 noun phrases), so only
the split by group says anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ..errors import ArgumentError

MOST_CLASSES = 50
"""The ten tasks of SentEval have up to 1,000 (word content); nothing here probes as many."""


class LabelClasses(NamedTuple):
    """The names of the classes in order, and the class of each text."""

    names: list[str]
    classes: Int[np.ndarray, " text"]


class Fold(NamedTuple):
    """Indices of the texts that a probe is fitted on, and of those it is tested on."""

    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]


def label_classes(labels: Sequence[object], what: str = "probe") -> LabelClasses:
    """Classes from labels of any kind; whole numbers and words are labels, other numbers are not.

    Raises:
        ArgumentError: one class, too many classes, or numbers that are measurements.
    """
    if any(isinstance(label, float) and not label.is_integer() for label in labels):
        example = next(label for label in labels if isinstance(label, float) and label % 1)
        raise ArgumentError(
            f"{what}: labels such as {example!r} are measurements; expected classes: "
            "bin them first (for example below and above the median)"
        )
    named = [str(int(label)) if isinstance(label, float) else str(label) for label in labels]
    names, classes = np.unique(named, return_inverse=True)
    if len(names) < 2:
        given = f"all {len(named)} labels are {named[0]!r}" if named else "no label is given"
        raise ArgumentError(f"{what}: {given}; give texts of two or more labels")
    if len(names) > MOST_CLASSES:
        raise ArgumentError(
            f"{what}: {len(names)} different labels on {len(named)} texts; at most {MOST_CLASSES} "
            "are probed: join rare ones, or bin numbers"
        )
    return LabelClasses(names.tolist(), classes)


def require_spread(
    labels: LabelClasses, group: Int[np.ndarray, " text"], at_least: int, what: str = "probe"
) -> None:
    """Check that every class is in enough groups to be in each fold.

    Raises:
        ArgumentError: a class is in fewer groups; it is named.
    """
    for number, name in enumerate(labels.names):
        n_groups = len(np.unique(group[labels.classes == number]))
        if n_groups < at_least:
            raise ArgumentError(
                f"{what}: label {name!r} has texts of {n_groups} groups; "
                f"each label needs at least {at_least} (near-duplicates count as one)"
            )


def group_folds(
    classes: Int[np.ndarray, " text"], group: Int[np.ndarray, " text"], n_folds: int, seed: int
) -> list[Fold]:
    """Folds that split no group and hold the classes in about the same shares."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    empty = np.zeros(len(classes))
    return [Fold(train, test) for train, test in splitter.split(empty, classes, group)]


def control_labels(
    classes: Int[np.ndarray, " text"], group: Int[np.ndarray, " text"], random: np.random.Generator
) -> Int[np.ndarray, " text"]:
    """A random class for each group: the groups' most frequent classes, shuffled among them."""
    n_groups, n_classes = int(group.max()) + 1, int(classes.max()) + 1
    counts = np.bincount(group * n_classes + classes, minlength=n_groups * n_classes)
    own = counts.reshape(n_groups, n_classes).argmax(axis=1)
    # groups that hold every class alike, as minimal pairs do, all have the same most frequent one
    if len(np.unique(own)) > 1:
        return random.permutation(own)[group]
    return random.integers(0, n_classes, n_groups)[group]


def shuffled_labels(
    classes: Int[np.ndarray, " text"], group: Int[np.ndarray, " text"], random: np.random.Generator
) -> Int[np.ndarray, " text"]:
    """The classes shuffled within each group, and among the groups that are of one class.

    A label that varies within groups differs from one that is constant there in which part of the
    vectors it can be read from, so that the one is no null of the other.
    """
    order = np.lexsort((random.random(len(classes)), group))
    shuffled = np.empty_like(classes)
    shuffled[np.argsort(group, kind="stable")] = classes[order]
    pairs = np.unique(np.stack([group, classes]), axis=1)
    of_group, sizes = np.unique(pairs[0], return_counts=True)
    pure = of_group[sizes == 1]
    class_of = np.zeros(int(group.max()) + 1, dtype=classes.dtype)
    class_of[pure] = random.permutation(pairs[1][np.isin(pairs[0], pure)])
    return np.where(np.isin(group, pure), class_of[group], shuffled)
