"""What concepts over a tagger's words have in common: ``lemma("play")``, ``pos("noun")``.

Such a concept is a set of values of one layer of the annotations. Its candidates come in bulk: one
sort of a layer's codes gives the positions of all of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ...annotation import AnnotationLayer, Annotations
from ..text_view import TextView
from .base import Concept

if TYPE_CHECKING:
    from jaxtyping import Bool
    from scipy.sparse import csr_matrix


class LayerValues(NamedTuple):
    """Values of a layer of words, any of which will do."""

    layer: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class TaggedWord(Concept):
    """A concept that holds at every token of a word, or at none; all of the context may decide it."""

    groups: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Names for several values of a layer: *place* for countries, rivers and buildings."""

    def reading(self) -> LayerValues:
        """Where it holds: the layer and its values."""
        raise NotImplementedError

    @classmethod
    def of_value(cls, layer: str, value: str) -> Concept | None:
        """The concept for a value of a layer, if it is worth a try; lists of values are `groups`."""
        raise NotImplementedError

    def annotation_layers(self) -> tuple[str, ...]:
        return (self.reading().layer,)

    def holds_for(self, annotations: Annotations) -> Bool[np.ndarray, " words"]:
        """Which words it holds for."""
        layer, accepted = self.reading()
        codes, values = annotations.of_words(layer)
        return np.append([value in accepted for value in values], False)[codes].astype(bool)

    def mask(self, text: TextView) -> Bool[np.ndarray, "contexts seq"]:
        return text.annotations.at_tokens(self.holds_for(text.annotations))

    @classmethod
    def layers(cls) -> tuple[str, ...]:
        """The layers whose values are candidates."""
        raise NotImplementedError

    @classmethod
    def candidate_rows(
        cls, text: TextView, keep: Bool[np.ndarray, "contexts seq"], least: int
    ) -> tuple[list[Concept], csr_matrix]:
        return rows_of_family(cls, text, keep, least)


def rows_of_family(
    cls: type[TaggedWord],
    text: TextView,
    keep: Bool[np.ndarray, "contexts seq"],
    least: int,
    prefix: str = "",
    wrap: Callable[[Concept], Concept] = lambda concept: concept,
) -> tuple[list[Concept], csr_matrix]:
    """The candidates of a family and where each of them holds, over the kept positions.

    Args:
        prefix: of the layers to read instead, "previous_" or "head_".
        wrap: makes the concept that reads those.
    """
    concepts, columns = list[Concept](), list[np.ndarray]()
    if not text.annotation_problem:
        for layer in cls.layers():
            codes, values = kept_codes(text.annotations.layer(prefix + layer), keep)
            columns_of = dict(positions_by_code(codes, len(values), least))
            for code, positions in columns_of.items():
                if (concept := cls.of_value(layer, values[code])) is not None:
                    concepts.append(wrap(concept))
                    columns.append(positions)
            for name, members in cls.groups.items():
                group = cls(name)  # pyright: ignore[reportCallIssue]
                inside = np.isin(codes, [i for i, value in enumerate(values) if value in members])
                concepts.append(wrap(group))
                columns.append(np.flatnonzero(inside))
    enough = [i for i, column in enumerate(columns) if len(column) >= least]
    return [concepts[i] for i in enough], matrix_of([columns[i] for i in enough], int(keep.sum()))


def kept_codes(layer: AnnotationLayer, keep: Bool[np.ndarray, "contexts seq"]) -> AnnotationLayer:
    """The codes of a layer of tokens at the kept positions."""
    return AnnotationLayer(layer.codes[keep], layer.values)


def positions_by_code(
    codes: np.ndarray, n_codes: int, least: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Each code that occurs often enough, and its positions in ascending order."""
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_codes + 1))
    for code in np.flatnonzero(np.diff(bounds) >= max(least, 1)).tolist():
        yield code, order[bounds[code] : bounds[code + 1]]


def matrix_of(columns: Sequence[np.ndarray], n_positions: int) -> csr_matrix:
    """Concept x kept position, 1 at the positions given for each concept."""
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *map(len, columns)])
    indices = np.concatenate([np.zeros(0, np.int64), *columns]).astype(np.int32)
    return csr_matrix((np.ones(ends[-1]), indices, ends), shape=(len(columns), n_positions))


def together(
    parts: Sequence[tuple[list[Concept], csr_matrix]],
) -> tuple[list[Concept], csr_matrix]:
    """Candidates of several families, one after the other."""
    from scipy.sparse import csr_matrix, vstack

    rows = csr_matrix(vstack([matrix for _, matrix in parts]))
    return [concept for concepts, _ in parts for concept in concepts], rows
