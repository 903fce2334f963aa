"""Vectors of several data sets after one layer, for studies that take what one set teaches to another.

Groups are those of all sets together. Texts that are near-duplicates, or whose groups have the same
name, belong together in whichever sets they are, so that no probe is tested on what it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from ...tools.errors import UsageError
from .layer_vectors import chosen_texts, one_layer

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ..measurements import Measured
    from ..study_context import StudyContext
    from .layer_vectors import Pooled


class SeveralSets(NamedTuple):
    """Texts of all sets one after the other.

    Attributes:
        place: which set each text is of, in the order of `names`.
        classes: 0, or 1 for the second label of its set.
    """

    names: list[str]
    vectors: Float[np.ndarray, "text width"]
    place: Int[np.ndarray, " text"]
    classes: Int[np.ndarray, " text"]
    group: Int[np.ndarray, " text"]

    @classmethod
    def of(cls, measured: Measured) -> Self:
        """From what `measure_sets` kept."""
        names = measured["name"].tolist()
        columns = (measured[column] for column in ("vectors", "place", "classes", "group"))
        return cls(names, *columns)


def measure_sets(
    study: StudyContext,
    names: Sequence[str],
    layer: int | None,
    texts: int,
    pooling: Pooled,
    seed: int,
    *,
    same_labels: bool = False,
) -> Measured:
    """Vectors, classes and joint groups of data sets with two labels each.

    Args:
        texts: of each set, at most.
        same_labels: whether all sets must have the same two labels.

    Raises:
        UsageError: a set is named twice, or has other labels.
    """
    from ...tools.datasets import independent_groups
    from ...tools.representation.collect import collect
    from ...tools.subject.address import Site

    if len(set(names)) < len(names):
        raise UsageError(f"data sets {', '.join(names)} given; name each once")
    sets = [chosen_texts(name, texts, seed) for name in names]
    for each in sets:
        if len(each.classes) != 2:
            raise UsageError(f"data set {each.name!r} has {len(each.classes)} labels; expected two")
        if same_labels and each.classes != sets[0].classes:
            raise UsageError(
                f"the labels of {each.name!r} are {' and '.join(each.classes)}, those of "
                f"{sets[0].name!r} {' and '.join(sets[0].classes)}; give sets with the same labels"
            )
    joined = [text for each in sets for text in each.texts]
    at = one_layer(study.subject, layer)
    (vectors,) = collect(
        study.subject,
        joined,
        [Site("stream", at)],
        pooling=pooling,
        too_long="keep end",
        progress=lambda done, total: study.progress("texts read", done, total),
    )
    sizes = [len(each) for each in sets]
    groups = [name for each in sets for name in each.groups]
    return {
        "name": np.array(names),
        "layer": np.array(at),
        "vectors": vectors,
        "place": np.repeat(np.arange(len(sets)), sizes),
        "classes": np.concatenate([each.class_numbers for each in sets]),
        "group": independent_groups(joined, groups),
    }
