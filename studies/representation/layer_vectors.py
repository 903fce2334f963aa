"""What most studies of representations measure: a vector of each text after each layer.

The vectors of all layers are one array, with the word embeddings first. Labels and groups are stored
with them, so that what follows needs neither the subject nor the data set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

if TYPE_CHECKING:
    from ...tools.datasets import LabelledTexts
    from ...tools.subject import Subject
    from ..measurements import Measured
    from ..study_context import StudyContext

Pooled = Literal["mean", "last"]

DatasetName = Annotated[
    str, Field(description="a named data set (hubel knows probing/..., sae-probes/...) or a table")
]
TextCount = Annotated[int, Field(ge=40, le=100_000, description="texts, drawn at random")]
Pooling = Annotated[
    Pooled, Field(description="the mean over a text's tokens but the first, or its last token")
]


def measure_vectors(
    study: StudyContext,
    data: str,
    texts: int,
    pooling: Pooled,
    seed: int = 0,
    place: int = 0,
) -> Measured:
    """Vectors [layer, text, width], with the layers' names, and the texts, labels and groups.

    Args:
        texts: how many, if the data set has so many.
        place: which of the subjects.
    """
    from ...tools.representation.collect import collect, site_name, stream_sites

    chosen = chosen_texts(data, texts, seed)
    subject = study.subject_at(place)
    sites = stream_sites(subject.shape.n_layers)
    step = f"{subject.name}: texts read"
    vectors = collect(
        subject,
        chosen.texts,
        sites,
        pooling=pooling,
        too_long="keep end",
        progress=lambda done, total: study.progress(step, done, total),
    )
    names = np.array([site_name(site) for site in sites])
    return {"vectors": vectors, "layer": names, **described(chosen)}


def chosen_texts(data: str, texts: int, seed: int) -> LabelledTexts:
    """So many texts of a data set, drawn at random, in their order."""
    from ...tools.datasets import read_dataset

    given = read_dataset(data)
    if len(given) <= texts:
        return given
    drawn = np.random.default_rng(seed).choice(len(given), texts, replace=False)
    return given.take(np.sort(drawn).tolist())


def described(chosen: LabelledTexts) -> Measured:
    """Text, label and group of each text, as arrays."""
    from ...tools.datasets import independent_groups

    return {
        "text": np.array(chosen.texts),
        "label": np.array(chosen.labels),
        "group": independent_groups(chosen.texts, chosen.groups),
    }


def one_layer(subject: Subject, layer: int | None) -> int:
    """A layer of the subject; without one, the middle layer.

    Raises:
        UsageError: it has no such layer.
    """
    from ...tools.errors import UsageError

    n_layers = subject.shape.n_layers
    if layer is None:
        return n_layers // 2
    if not 0 <= layer < n_layers:
        raise UsageError(f"layer {layer} given; {subject.name} has layers 0 to {n_layers - 1}")
    return layer
