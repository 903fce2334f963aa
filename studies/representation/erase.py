"""Erase: can a label be taken out of the stream, and what else is lost?

1. Vectors of labelled texts after one layer; groups go to explore and test.
2. The eraser (`tools/representation/erasure`) is fitted on explore. A probe is fitted on explore and
   scored on test, once on the vectors as they are and once on the erased ones.
3. The stream of other texts is erased at every token, and their loss compared with the bare pass.
4. Controls: erasers of the same rank that are fitted to shuffled labels, within groups where the label
   varies there.

Belrose et al., "LEACE: Perfect linear concept erasure in closed form" (NeurIPS 2023). Only what a line
can read is erased; later layers may compute a label again from what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ...evals.statistics.grouped import mean_over_groups
from ...tools.errors import UsageError
from ..figures import BarChart
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, below, cannot_say, joint_level, within
from .layer_vectors import DatasetName, Pooling, TextCount, chosen_texts, described, one_layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float, Int

    from ...tools.representation.erasure import Eraser
    from ...tools.subject import Subject
    from ..measurements import Measured

COST = 0.01
"""Of the loss: more is no small price. Setting a layer's whole MLP to its mean costs ten times that."""
MARGIN = 0.05
"""Of accuracy, within which a probe counts as at chance."""
DOCUMENT_TOKENS, LEAST_DOCUMENTS = 128, 8


@study("erase", question="Can a label be erased from the stream, and what does that cost?")
def erase(
    study: StudyContext,
    data: DatasetName = "probing/subject-number",
    layer: Annotated[int | None, Field(ge=0, description="default: the middle one")] = None,
    texts: TextCount = 2000,
    pooling: Pooling = "last",
    corpus: Annotated[str, Field(description="other texts, whose loss is measured")] = "lee-news",
    documents: Annotated[int, Field(ge=LEAST_DOCUMENTS, le=10_000)] = 40,
    seed: int = 0,
) -> StudyResult:
    """Erase a label from the stream after one layer, in closed form, and measure what is left.

    Reports a probe of unseen groups before and after, and the loss on other texts, each next to
    erasers of shuffled labels.
    """
    measured = study.measured(
        "vectors", lambda: measure_vectors_at(study, data, layer, texts, pooling, seed)
    )
    erasers = fit_both(measured["vectors"], measured["label"].tolist(), measured["group"], seed)
    at = int(measured["layer"])
    loss = study.measured(
        "losses", lambda: measure_losses(study.subject, corpus, documents, at, erasers)
    )
    return conclude(
        measured["vectors"], measured["label"].tolist(), measured["group"], loss["loss"], at, seed
    )


def measure_vectors_at(
    study: StudyContext, data: str, layer: int | None, texts: int, pooling: Pooling, seed: int
) -> Measured:
    """Vectors [text, width] after one layer, with the texts' labels and groups."""
    from ...tools.representation.collect import collect
    from ...tools.subject.address import Site

    study.subject.require_decoder("the loss of other texts")
    chosen = chosen_texts(data, texts, seed)
    at = one_layer(study.subject, layer)
    (vectors,) = collect(
        study.subject,
        chosen.texts,
        [Site("stream", at)],
        pooling=pooling,
        too_long="keep end",
        progress=lambda done, total: study.progress("texts read", done, total),
    )
    return {"vectors": vectors, "layer": np.array(at), **described(chosen)}


def fit_both(
    vectors: Float[np.ndarray, "text width"],
    labels: Sequence[str],
    group: Int[np.ndarray, " text"],
    seed: int,
) -> tuple[Eraser, Eraser]:
    """The eraser of the labels, and that of shuffled labels, fitted on explore."""
    from ...tools.representation.erasure import fit_eraser
    from ...tools.representation.groups import label_classes, shuffled_labels

    classes = label_classes(labels, "erase").classes
    explore, _ = _parts(classes, group, seed)
    number = np.unique(group[explore], return_inverse=True)[1]
    shuffled = shuffled_labels(classes[explore], number, np.random.default_rng(seed))
    own, placebo = (fit_eraser(vectors[explore], y) for y in (classes[explore], shuffled))
    return own, placebo


def measure_losses(
    subject: Subject, corpus: str, documents: int, layer: int, erasers: Sequence[Eraser]
) -> Measured:
    """Loss of each document: bare, erased, and with the control's eraser."""
    from ...tools.corpus import read_corpus
    from ...tools.representation.erased_loss import losses

    rows = []
    for document in read_corpus(corpus).documents:
        ids = subject.tokenize(document.text).ids[:DOCUMENT_TOKENS]
        rows += [ids] if len(ids) > 1 else []
        if len(rows) == documents:
            break
    if len(rows) < LEAST_DOCUMENTS:
        raise UsageError(
            f"{corpus} has {len(rows)} documents; an interval needs at least {LEAST_DOCUMENTS}"
        )
    loss = [losses(subject, rows, layer, eraser) for eraser in (None, *erasers)]
    return {"loss": np.array(loss)}


def conclude(
    vectors: Float[np.ndarray, "text width"],
    labels: Sequence[str],
    group: Int[np.ndarray, " text"],
    loss: Float[np.ndarray, "3 document"],
    layer: int,
    seed: int = 0,
) -> StudyResult:
    """Whether the label could be read, is at chance, and what that cost; a row for each condition."""
    from ...tools.representation.groups import label_classes

    classes = label_classes(labels, "erase").classes
    explore, test = _parts(classes, group, seed)
    conditions = [vectors, *(e(vectors) for e in fit_both(vectors, labels, group, seed))]
    right = [_right(given, classes, explore, test) for given in conditions]
    of, level = group[test].tolist(), joint_level(3)
    before, after, placebo = (mean_over_groups(each, of, seed=seed) for each in right)
    lost = mean_over_groups(right[0] - right[1], of, level=level, seed=seed, bounds=(-1, 1))
    majority = float(np.bincount(classes[test]).max() / len(test))
    n = len(set(of))
    cost = mean_over_groups(loss[1] / loss[0] - 1, level=level, seed=seed)
    # the most frequent label of explore: paired with the probe, so that chance has no interval
    guess = (classes[test] == np.bincount(classes[explore]).argmax()).astype(float)
    left = mean_over_groups(right[1] - guess, of, level=level, seed=seed)
    if np.array_equal(right[1], guess):  # a probe without slopes is this guess for any text
        left = Interval(0.0, 0.0, 0.0)
    at_chance = (
        f"after erasing, a probe of resid.{layer} does as well as a constant guess "
        f"(within {MARGIN:g})"
    )
    readable = before.low is not None and before.low > majority + MARGIN
    claims = [
        above(
            f"erasing the label at resid.{layer} takes accuracy from a probe of unseen groups",
            lost,
            float(np.mean(right[0] - right[2])),
            n,
        ),
        within(at_chance, left, 0.0, n, MARGIN)
        if readable
        else cannot_say(f"{at_chance}: the label could not be read before", n, left.value),
        below(
            f"erasing costs less than {COST:.0%} of the loss on other texts",
            cost,
            COST,
            loss.shape[1],
        ),
    ]
    rows = _rows((before, after, placebo), loss.mean(axis=1).tolist(), majority)
    return StudyResult(rows, claims, [_bars(rows, layer)])


def _rows(
    accuracies: Sequence[Interval], losses: Sequence[float], majority: float
) -> list[dict[str, float | str | None]]:
    names = ("as it is", "erased", "shuffled labels erased")
    return [
        {
            "condition": name,
            "accuracy": accuracy.value,
            "low": accuracy.low,
            "high": accuracy.high,
            "majority": majority,
            "loss": loss,
        }
        for name, accuracy, loss in zip(names, accuracies, losses, strict=True)
    ]


def _bars(rows: Sequence[Mapping[str, Any]], layer: int) -> BarChart:
    columns = ("condition", "accuracy", "low", "high", "majority")
    names, values, low, high, majority = ([row[column] for row in rows] for column in columns)
    title = f"A probe of resid.{layer} before and after erasing"
    unit = "accuracy on unseen groups"
    return BarChart("accuracy", title, unit, names, values, low, high, majority)


def _parts(
    classes: Int[np.ndarray, " text"], group: Int[np.ndarray, " text"], seed: int
) -> tuple[Int[np.ndarray, " explore"], Int[np.ndarray, " test"]]:
    from ...tools.datasets import split_by_group

    parts = split_by_group(classes, group, seed, (0.6, 0.0, 0.4))
    return parts.explore, parts.test


def _right(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    explore: Int[np.ndarray, " explore"],
    test: Int[np.ndarray, " test"],
) -> Float[np.ndarray, " test"]:
    from ...tools.representation.probe import fitted

    probe = fitted(vectors[explore], classes[explore])
    return (probe.predict(vectors[test]) == classes[test]).astype(np.float64)
