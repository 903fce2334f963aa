"""Splits by group: what may be memorised is never on both sides.

1. Texts that are near-duplicates belong together, so groups with such texts in common are one.
2. Groups are put in random order, then the largest come first.
3. Each goes to the part that still needs most of its classes, so that every part has the classes in
   about the proportions of the whole. The parts are about as large as the fractions say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int

FRACTIONS = (0.5, 0.2, 0.3)
"""Of explore, select and test, as documents of a corpus are split."""


class SplitRows(NamedTuple):
    """Rows of a data set in three parts that have no group in common, each in ascending order."""

    explore: Int[np.ndarray, "explore"]
    select: Int[np.ndarray, "select"]
    test: Int[np.ndarray, "test"]


def independent_groups(
    texts: Sequence[str], groups: Sequence[str] | None = None
) -> Int[np.ndarray, "text"]:
    """The number of each text's group, joined where near-duplicates are in several of them.

    Args:
        groups: without any, each different text is its own.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from ..corpus.split import DuplicateGroups

    duplicates = DuplicateGroups()
    for text in texts:
        duplicates.add(text)
    named = np.unique(texts if groups is None else groups, return_inverse=True)[1]
    similar = np.unique(duplicates.groups, return_inverse=True)[1] + named.max() + 1
    size = int(similar.max()) + 1
    links = coo_array((np.ones(len(texts)), (named, similar)), shape=(size, size))
    component = connected_components(links, directed=False)[1]
    return np.unique(component[named], return_inverse=True)[1]


def split_by_group(
    labels: Sequence[object] | np.ndarray,
    groups: Sequence[str] | Int[np.ndarray, "row"],
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> SplitRows:
    """Split rows into explore, select and test, never through a group.

    Args:
        groups: of each row; see `independent_groups` for rows with texts.
        fractions: of the rows in each part; 0 leaves a part empty.

    Raises:
        UsageError: there is one class only, or the groups do not suffice for each class to be in
            each part.
    """
    import numpy as np

    _check_arguments(labels, groups, fractions)
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UsageError(f"all labels are {str(names[0])!r}; give rows of two or more classes")
    rows_of = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    order = np.random.default_rng(seed).permutation(len(rows_of))  # 2.
    missing = np.outer(fractions, np.bincount(classes))
    is_used = np.array(fractions) > 0
    part_of = np.empty(len(classes), dtype=int)
    for number in sorted(order, key=lambda number: -len(rows_of[number])):
        rows = rows_of[number]
        need = np.where(is_used, missing[:, classes[rows]].sum(axis=1), -np.inf)  # 3.
        part = int(need.argmax())
        np.subtract.at(missing[part], classes[rows], 1)
        part_of[rows] = part
    parts = SplitRows(*(np.flatnonzero(part_of == part) for part in range(3)))
    used = [rows for rows, fraction in zip(parts, fractions, strict=True) if fraction > 0]
    _check_classes(names, classes, group, used)
    return parts


def _check_arguments(
    labels: Sequence[object] | np.ndarray,
    groups: Sequence[object] | np.ndarray,
    fractions: Sequence[float],
) -> None:
    if len(labels) != len(groups) or not len(labels):
        raise UsageError(f"{len(labels)} labels, {len(groups)} groups; give one for each row")
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise UsageError(
            f"fractions {fractions!r} given; expected three of at least 0 that sum to 1"
        )


def _check_classes(
    names: np.ndarray,
    classes: Int[np.ndarray, "row"],
    group: Int[np.ndarray, "row"],
    parts: Sequence[Int[np.ndarray, "part"]],
) -> None:
    import numpy as np

    for number, name in enumerate(names):
        if all((classes[rows] == number).any() for rows in parts):
            continue
        n_groups = len(np.unique(group[classes == number]))
        raise UsageError(
            f"label {str(name)!r} has rows of {n_groups} groups, which do not spread over "
            f"{len(parts)} parts; give more groups with that label (near-duplicates count as one)"
        )


def require_separate(groups: Sequence[str], *parts: Sequence[int]) -> None:
    """Check that parts of a user's own split have no group in common.

    Raises:
        UsageError: a group leaks from one part to another.
    """
    part_of: dict[str, int] = {}
    for number, rows in enumerate(parts):
        for row in rows:
            if part_of.setdefault(groups[row], number) != number:
                raise UsageError(
                    f"the group {groups[row]!r:.80} is in two parts of the split, so that the one "
                    "leaks into the other; keep each group in one part, or split by group here"
                )
