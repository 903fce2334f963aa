"""Massive dimensions: does one direction of the residual stream's basis dwarf the others?

1. Mean absolute value of each dimension after each layer, over the tokens of each document but its
   first ones (position 0 of a context is a sink with values of its own).
2. The figure of a layer is its largest dimension over its median one.
3. Control: the same vectors in a random orthonormal basis, in which nothing singles out a dimension.
4. Interval: bootstrap over documents, of the layer with the largest figure on one half of them,
   measured on the other half, since the largest of many is large by chance.

Sun et al., "Massive Activations in Large Language Models" (2024, arXiv 2402.17762). Cosines, CKA and
concept vectors of unstandardised streams see little but these dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval, bootstrap
from ...tools.errors import UsageError
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.subject import Subject
    from ..measurements import Measured

MASSIVE = 10.0
"""Times the median dimension. Of 576 Gaussian dimensions of equal size the largest reaches 1.1."""
CONTEXT_LEN = 64
LEAST_DOCUMENTS = 8
"""Half of them choose the layer, and an interval needs a few."""


@study(
    "massive-dimensions",
    question="Does one dimension of the residual stream dwarf the others?",
    small=True,
)
def massive_dimensions(
    study: StudyContext,
    corpus: Annotated[str, Field(description="text to read")] = "lee-news",
    documents: Annotated[int, Field(ge=LEAST_DOCUMENTS, le=10_000)] = 60,
    seed: int = 0,
) -> StudyResult:
    """Measure how much larger the largest dimension of the residual stream is than the median one.

    Needed before vectors are compared: where one dimension is massive, cosines and similarities
    measure that dimension unless the vectors are standardised.
    """
    measured = study.measured(
        "sizes", lambda: measure_sizes(study.subject, corpus, documents, seed)
    )
    return conclude(measured["size"], measured["rotated"], seed)


def measure_sizes(subject: Subject, corpus: str, documents: int, seed: int) -> Measured:
    """Mean absolute value by document, layer and dimension: as they are, and rotated."""
    import torch

    from ...tools.corpus import read_corpus
    from ...tools.subject.address import Site

    sites = [Site("stream", layer) for layer in range(subject.shape.n_layers)]
    rotation, sizes = None, list[np.ndarray]()
    for document in read_corpus(corpus).documents:
        ids = subject.tokenize(document.text).ids[:CONTEXT_LEN]
        if len(ids) < CONTEXT_LEN:
            continue
        captured = subject.capture(torch.tensor([ids]), sites).activations
        streams = np.stack([captured[site][0, 1:].float().cpu().numpy() for site in sites])
        if rotation is None:
            rotation = random_basis(streams.shape[-1], seed)
        sizes.append(np.abs(np.stack([streams, streams @ rotation])).mean(axis=2))
        if len(sizes) == documents:
            break
    if len(sizes) < LEAST_DOCUMENTS:
        raise UsageError(
            f"{corpus} has {len(sizes)} documents of {CONTEXT_LEN} tokens or more; "
            f"give a corpus with at least {LEAST_DOCUMENTS}"
        )
    size, rotated = np.stack(sizes, axis=1).astype(np.float32)
    return {"size": size, "rotated": rotated}


def random_basis(width: int, seed: int) -> Float[np.ndarray, "width width"]:
    """A random orthonormal basis."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]


def conclude(
    size: Float[np.ndarray, "documents layers width"],
    rotated: Float[np.ndarray, "documents layers width"],
    seed: int = 0,
) -> StudyResult:
    """The claim, a row and a point for each layer."""
    half = len(size) // 2
    layer = int(np.argmax(_ratio(size[:half].mean(axis=0))))
    interval = _interval(size[half:, layer], seed)
    control = float(_ratio(rotated[half:, layer].mean(axis=0)))
    layers = list(range(size.shape[1]))
    means, rotated_means = size.mean(axis=0), rotated.mean(axis=0)
    ratios, controls = _ratio(means).tolist(), _ratio(rotated_means).tolist()
    rows = [
        {
            "layer": at,
            "dimension": int(np.argmax(means[at])),
            "largest": float(means[at].max()),
            "median": float(np.median(means[at])),
            "ratio": ratios[at],
            "rotated": controls[at],
        }
        for at in layers
    ]
    claim = above(
        f"after layer {layer} the largest dimension is more than {MASSIVE:g} times the median one",
        interval,
        control,
        n=len(size) - half,
        least=MASSIVE - control,
    )
    lines = [PlottedLine("basis of the stream", layers, ratios)]
    lines.append(PlottedLine("random basis", layers, controls, is_control=True))
    title = "Largest dimension of the residual stream over the median one"
    return StudyResult(
        rows, [claim], [LinePlot("sizes", title, "layer", "times the median", lines)]
    )


def _ratio(sizes: Float[np.ndarray, "*shape width"]) -> Float[np.ndarray, "*shape"]:
    return sizes.max(axis=-1) / np.median(sizes, axis=-1)


def _interval(sizes: Float[np.ndarray, "documents width"], seed: int) -> Interval:
    """Bootstrap over documents of the largest mean over the median one."""
    return bootstrap(sizes.astype(np.float64), _ratio, seed)
