"""A map of texts: do texts of one kind lie together in the space of a layer?

1. A vector of each text after one layer, and a colour for each: its label, what the subject predicts
   next, or the quarter in which a unit's mean activation lies.
2. A map by PCA, t-SNE or UMAP (`tools/representation/maps`), with its trustworthiness.
3. Purity: the share of a text's 15 nearest neighbours on the map, from other groups, that have its
   colour. Control: colours shuffled over the texts.
4. Claims: texts of one colour lie together; and near on the map means near in the layer, a
   trustworthiness above .9, without which the first says something about the map only.
5. Intervals from leaving out folds of groups. A text is a neighbour of many, so that drawing texts with
   replacement would make the first interval too narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ..figures import ScatterPlot
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level
from .layer_vectors import (
    DatasetName,
    Pooled,
    Pooling,
    TextCount,
    chosen_texts,
    described,
    one_layer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from ...tools.representation.maps import MapMethod
    from ...tools.subject import Subject
    from ..measurements import Measured

TRUSTED = 0.9
MOST_COLOURS = 8
"""Further predictions are "other"."""
SHUFFLES = 20
FEW_FOLDS = 5
"""Of trustworthiness, which takes all distances each time and hardly varies."""


@study("map", question="Do texts of one kind lie together in the space of a layer?")
def map_texts(
    study: StudyContext,
    data: DatasetName = "probing/tense",
    method: Literal["pca", "tsne", "umap"] = "pca",
    colour: Annotated[
        str, Field(description="label, prediction, or the address of a unit (mlp.10.1352)")
    ] = "label",
    layer: Annotated[int | None, Field(ge=0, description="default: the middle layer")] = None,
    texts: TextCount = 2000,
    pooling: Pooling = "mean",
    seed: int = 0,
) -> StudyResult:
    """Draw texts as points in the plane, and say whether neighbours have one colour.

    Distances between clusters of t-SNE and UMAP mean nothing; trustworthiness says how far the
    neighbourhoods on the map are those of the layer.
    """
    measured = study.measured(
        "texts", lambda: measure_texts(study, data, method, colour, layer, texts, pooling, seed)
    )
    return conclude(
        measured["vectors"],
        measured["colour"].tolist(),
        measured["group"],
        measured["text"].tolist(),
        method,
        seed,
        place=f"resid.{int(measured['at'][0])}",
    )


def measure_texts(
    study: StudyContext,
    data: str,
    method: MapMethod,
    colour: str,
    layer: int | None,
    texts: int,
    pooling: Pooled,
    seed: int,
) -> Measured:
    """The vector and the colour of each text."""
    from ...tools.representation.collect import collect
    from ...tools.representation.maps import check_map
    from ...tools.subject.address import Site

    chosen = chosen_texts(data, texts, seed)
    check_map(method, len(chosen))
    subject = study.subject
    at = one_layer(subject, layer)
    (vectors,) = collect(
        subject,
        chosen.texts,
        [Site("stream", at)],
        pooling=pooling,
        too_long="keep end",
        progress=lambda done, total: study.progress("texts read", done, total),
    )
    if colour == "label":
        colours = list(chosen.labels)
    elif colour == "prediction":
        colours = _predictions(subject, chosen.texts)
    else:
        colours = _quarters(subject, chosen.texts, colour, pooling)
    return {
        "vectors": vectors,
        "colour": np.array(colours),
        "at": np.array([at]),
        **described(chosen),
    }


def _predictions(subject: Subject, texts: Sequence[str]) -> list[str]:
    """The most likely next token of each text; all but the most frequent are "other"."""
    from collections import Counter

    from ...tools.datasets import tokens_in_context
    from ...tools.subject.input_texts import InputText, batches

    ids = tokens_in_context(subject, texts, "end").ids
    strings = subject.token_strings()
    tokens = [""] * len(texts)
    for batch in batches([InputText.of_ids(row) for row in ids]):
        logits = subject.capture(batch.ids, [], logits=True).logits
        assert logits is not None  # they were asked for
        for row, (number, text) in enumerate(zip(batch.numbers, batch.texts, strict=True)):
            tokens[number] = repr(strings[int(logits[row, len(text.ids) - 1].argmax())])
    frequent = {token for token, _ in Counter(tokens).most_common(MOST_COLOURS)}
    return [token if token in frequent else "other" for token in tokens]


def _quarters(subject: Subject, texts: Sequence[str], address: str, pooling: Pooled) -> list[str]:
    """The quarter of the texts in which a unit's activation puts each of them."""
    from ...tools.representation.collect import collect
    from ...tools.subject.address import Unit

    unit = Unit.parse(address)
    column = subject.shape.column(unit)
    pooled = collect(subject, texts, [unit.place], pooling=pooling, too_long="keep end")
    values = unit.signal(pooled[0, :, column])
    edges = np.unique(np.quantile(values, [0.25, 0.5, 0.75]))
    names = [f"{address} up to {edge:.3g}" for edge in edges] + [f"{address} above"]
    return [names[place] for place in np.searchsorted(edges, values)]


def conclude(
    vectors: Float[np.ndarray, "text width"],
    colours: list[str],
    group: Int[np.ndarray, " text"],
    texts: list[str],
    method: MapMethod = "pca",
    seed: int = 0,
    place: str = "the layer",
) -> StudyResult:
    """Both claims, a row for each colour, and the map.

    Raises:
        UsageError: all texts have one colour, or there are too few groups.
    """
    from ...tools.errors import UsageError
    from ...tools.representation.maps import make_map

    names, colour = np.unique(colours, return_inverse=True)
    if len(names) < 2:
        raise UsageError(f"all {len(colours)} texts have the colour {colours[0]!r}; give two kinds")
    drawn = make_map(vectors, method, seed)
    n = len(np.unique(group))
    level = joint_level(2)
    together, control = _purity(drawn.points, colour, group, seed, level)
    trust = _trust(vectors, drawn.points, group, seed, level)
    claims = [
        above(f"texts of one kind lie together on the map of {place}", together, control, n),
        above(
            f"neighbours on the map of {place} are neighbours in it (trustworthiness above {TRUSTED})",
            trust,
            drawn.random,
            n,
            least=TRUSTED - drawn.random,
        ),
    ]
    rows = [
        {
            "colour": str(name),
            "texts": int((colour == number).sum()),
            "x": float(drawn.points[colour == number, 0].mean()),
            "y": float(drawn.points[colour == number, 1].mean()),
        }
        for number, name in enumerate(names)
    ]
    return StudyResult(
        rows, claims, [_scatter(drawn.points, drawn.explained, colours, texts, method)]
    )


def _scatter(
    points: Float[np.ndarray, "text 2"],
    explained: tuple[float, float] | None,
    colours: list[str],
    texts: list[str],
    method: MapMethod,
) -> ScatterPlot:
    across, up = "", ""
    if explained is not None:
        across, up = (f"component {i} ({share:.0%})" for i, share in enumerate(explained, 1))
    x, y = np.round(points, 4).T.tolist()
    return ScatterPlot("map", f"Texts by {method}", across, up, x, y, texts, colours)


def _purity(
    points: Float[np.ndarray, "text 2"],
    colour: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    seed: int,
    level: float,
) -> tuple[Interval, float]:
    """Mean purity with its interval, and with the colours shuffled."""
    from ...tools.representation.folds import fold_of_rows, jackknife
    from ...tools.representation.maps import neighbours_from_other_groups, purity

    nearest = neighbours_from_other_groups(points, group)
    fold = fold_of_rows(group, seed)
    without: list[float] = []
    for left in np.unique(fold):
        kept = fold != left
        _, again = np.unique(group[kept], return_inverse=True)
        neighbours = neighbours_from_other_groups(points[kept], again)
        without.append(float(purity(neighbours, colour[kept]).mean()))
    rng = np.random.default_rng(seed)
    shuffled = [purity(nearest, rng.permutation(colour)).mean() for _ in range(SHUFFLES)]
    value = float(purity(nearest, colour).mean())
    return Interval(*jackknife(value, np.array(without), level)), float(np.mean(shuffled))


def _trust(
    vectors: Float[np.ndarray, "text width"],
    points: Float[np.ndarray, "text 2"],
    group: Int[np.ndarray, " text"],
    seed: int,
    level: float,
) -> Interval:
    """Trustworthiness with its interval."""
    from ...tools.representation.folds import fold_of_rows, jackknife
    from ...tools.representation.maps import trust

    fold = fold_of_rows(group, seed, FEW_FOLDS)
    without = [trust(vectors[fold != left], points[fold != left], seed) for left in np.unique(fold)]
    return Interval(*jackknife(trust(vectors, points, seed), np.array(without), level))
