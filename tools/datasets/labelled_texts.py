"""Texts with a label, a group and slices each: what a study reads."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int

MAX_LISTED = 8


@dataclass(frozen=True)
class LabelledTexts:
    """A data set.

    Attributes:
        name: what the user calls it.
        labels: the name of each text's class.
        groups: texts of one group are never split, as they share what could be memorised (a noun, a
            template, an author). Without groups, each different text is one.
        slices: by column, each text's value there; what results are broken down by.
        source: where the texts are from; `licence`: what that says about their use.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] = ()
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", self.texts)
        columns = {"labels": self.labels, "groups": self.groups, **self.slices}
        for column, values in columns.items():
            if len(values) != len(self.texts):
                raise UsageError(
                    f"data set {self.name!r}: {len(values)} {column} for {len(self.texts)} texts; "
                    "give one for each text"
                )
        if not self.texts:
            raise UsageError(f"data set {self.name!r} has no texts; give at least one row")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in order; whole numbers are ordered as numbers."""
        names = set(self.labels)
        if all(name.lstrip("-").isdecimal() for name in names):
            return tuple(sorted(names, key=int))
        return tuple(sorted(names))

    @cached_property
    def class_numbers(self) -> Int[np.ndarray, "text"]:
        """For each text the place of its label in `classes`; of two classes, 1 is the second."""
        import numpy as np

        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place[label] for label in self.labels])

    @cached_property
    def sha256(self) -> str:
        """Of the content: texts, labels, groups and slices, and not of names and origin."""
        digest = hashlib.sha256()
        columns = sorted(self.slices)
        digest.update(json.dumps(columns).encode())
        values = (self.slices[column] for column in columns)
        for row in zip(self.texts, self.labels, self.groups, *values, strict=True):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def take(self, rows: Iterable[int]) -> LabelledTexts:
        """Some of the rows, in the order given; raises UsageError if there are none."""
        chosen = [int(row) for row in rows]

        def pick(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[row] for row in chosen)

        slices = {column: pick(values) for column, values in self.slices.items()}
        return LabelledTexts(
            self.name,
            pick(self.texts),
            pick(self.labels),
            pick(self.groups),
            slices,
            self.source,
            self.licence,
        )

    def rows_where(self, column: str, value: str) -> list[int]:
        """The rows of one slice.

        Raises:
            UsageError: there is no such column, or no row with that value.
        """
        if column not in self.slices:
            known = ", ".join(self.slices) or "no columns"
            raise UsageError(
                f"data set {self.name!r} has no slices by {column!r}; it has {known}: name the "
                "table's column as a slice when it is read"
            )
        rows = [row for row, given in enumerate(self.slices[column]) if given == value]
        if not rows:
            known = listed(self.slices[column])
            raise UsageError(
                f"data set {self.name!r}: no row has {column} {value!r}, so that the slice is "
                f"empty; there are {known}"
            )
        return rows

    def require_classes(self, rows_each: int = 1) -> None:
        """Check that there are two classes, each with so many rows.

        Raises:
            UsageError: all rows have one label, or a class has fewer rows.
        """
        counts = Counter(self.labels)
        if len(counts) < 2:
            raise UsageError(
                f"data set {self.name!r}: all {len(self)} labels are {self.labels[0]!r}; "
                "give rows of two or more classes"
            )
        label, fewest = min(counts.items(), key=lambda item: item[1])
        if fewest < rows_each:
            raise UsageError(
                f"data set {self.name!r}: label {label!r} has {fewest} rows; each label needs at "
                f"least {rows_each}: give more rows, or leave that label out"
            )


def listed(values: Iterable[str]) -> str:
    """Different values in a message, the most frequent first."""
    counts = Counter(values)
    names = [name for name, _ in counts.most_common(MAX_LISTED)]
    return ", ".join(names) + (", ..." if len(counts) > MAX_LISTED else "")
