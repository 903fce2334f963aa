"""Evaluation on a labelled data set: accuracy, loss and calibration, by slice, and where it fails.

1. Put each text into the template and compare the names of the classes as continuations. The largest
   log p is the answer; softmax over the classes is its confidence.
2. Accuracy, loss (-log of the right class's share) and expected calibration error for all texts and
   for each facet: label, length, the data set's slices, the answer and its confidence.
3. Control of accuracy: always answering the most frequent class. Control of confidence: accuracy.
4. Failure slices: half of the groups choose candidates, the other half tests them
   (`tools/behaviour/failure_slices`).
5. Two facets can be crossed; each of their cells is tested on all texts (`crossed_facets`).

All claims together hold at 95 %. Facets after Tenney et al., "The Language Interpretability Tool"
(EMNLP 2020); calibration after Guo et al. (ICML 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import (
    LEAST_GROUPS,
    difference_of_shares,
    mean_over_groups,
)
from ...tools.behaviour.failure_slices import WordsOfTexts, choose_slices
from ..figures import BarChart, Figure, LinePlot, PlottedLine
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level
from .classified_texts import measure_answers, read_texts
from .crossed_facets import CrossedFacets, check_facets, cross_facets, draw_cells

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

    from ..measurements import Measured

MOST_SLICES = 5
BINS = 10
"""Of confidence, of equal width."""
BAR_COLUMNS = ("slice", "accuracy", "low", "high")
FACETS = ("label", "length", "answer", "confidence")
LENGTHS = ("short", "middle", "long")
CONFIDENCES = ("low", "middle", "high")


@study("evaluate", question="How well does the subject label these texts, and where does it fail?")
def evaluate(
    study: StudyContext,
    data: Annotated[
        str, Field(description="a name, or a table with text and label")
    ] = "sae-probes/113_movie_sent",
    template: Annotated[
        str, Field(description="what the subject reads; {text} is the text")
    ] = "Review: {text}\nThe review is",
    words: Annotated[
        str, Field(description="a word for each class in its order; by default the classes' names")
    ] = "negative,positive",
    texts: Annotated[int, Field(ge=40, le=100_000, description="texts at most")] = 1000,
    cross: Annotated[
        tuple[str, ...],
        Field(description="two of label, length, answer, confidence and the data's columns"),
    ] = (),
    seed: int = 0,
) -> StudyResult:
    """Evaluate the subject as a classifier: accuracy, calibration, and slices where it errs more.

    A slice is a word in the text, a label, a length or a column of the data. Slices are found on one
    half of the data and tested on the other. With `cross`, so is every cell of two columns, on all.
    """

    def measure() -> Measured:
        labelled = read_texts(data, texts, seed)
        check_facets(cross, [*FACETS, *labelled.slices])
        return measure_answers(study, labelled, template, words)

    return conclude(study.measured("answers", measure), seed, cross)


class Answers(NamedTuple):
    """What the subject answered to each text: whether rightly, at which loss and how surely."""

    right: Float[np.ndarray, " text"]
    loss: Float[np.ndarray, " text"]
    confidence: Float[np.ndarray, " text"]
    group: Int[np.ndarray, " text"]

    def at(self, rows: Shaped[np.ndarray, " row"]) -> Answers:
        """Those to some texts."""
        return Answers(*(values[rows] for values in self))


def conclude(measured: Measured, seed: int = 0, cross: Sequence[str] = ()) -> StudyResult:
    """Claims on accuracy, confidence, slices and cells; a row for each, and for each facet; figures."""
    answers = _answers(measured)
    columns = _columns(measured)
    facets = columns | _outcome_columns(measured, answers)
    crossed = cross_facets((cross[0], cross[1]), facets, answers.group) if cross else None
    choosing, testing = _halves(answers.group, seed)
    held = WordsOfTexts(measured["word"], measured["word_text"], measured["word_number"])
    error = 1 - answers.right
    slices = choose_slices(error, answers.group, columns, held, choosing, MOST_SLICES)
    level = joint_level(2 + len(slices) + (len(crossed.cells) if crossed else 0))
    claims = _overall_claims(measured, answers, level, seed)
    rows = [_row("all", "all", answers)]
    for found in slices:
        inside = found.members[testing]
        claims.append(_slice_claim(found.name, answers.at(testing), inside, level))
        if inside.any():
            rows.append(_row("failure slice", found.name, answers.at(testing[inside])))
    for column, values in facets.items():
        for value in np.unique(values):
            rows.append(_row("facet", f"{column} {value}", answers.at(values == value)))
    figures = _figures(rows, answers)
    if crossed:
        claims += _cell_claims(crossed, answers, level)
        rows += _cell_rows(crossed, answers)
        figures += [draw_cells(crossed, answers.right)] if crossed.cells else []
    return StudyResult(rows, claims, figures)


def _answers(measured: Measured) -> Answers:
    scores, label = measured["scores"], measured["label"]
    shares = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    right = (shares.argmax(axis=1) == label) * 1.0
    loss = -np.log(np.maximum(shares[np.arange(len(label)), label], 1e-300))
    return Answers(right, loss, shares.max(axis=1), measured["group"])


def _columns(measured: Measured) -> dict[str, Shaped[np.ndarray, " text"]]:
    """The facets: label, length, and the data set's slices."""
    columns = {
        "label": measured["classes"][measured["label"]],
        "length": np.array(LENGTHS)[measured["length"]],
    }
    own = {key: values for key, values in measured.items() if key.startswith("slice ")}
    return columns | {key.removeprefix("slice "): values for key, values in own.items()}


def _outcome_columns(
    measured: Measured, answers: Answers
) -> dict[str, Shaped[np.ndarray, " text"]]:
    """Facets that the answer decides: no failure slices, since they are known only afterwards."""
    thirds = np.quantile(answers.confidence, [1 / 3, 2 / 3])
    place = np.searchsorted(thirds, answers.confidence)
    return {
        "answer": measured["classes"][measured["scores"].argmax(axis=1)],
        "confidence": np.array(CONFIDENCES)[place],
    }


def _halves(
    group: Int[np.ndarray, " text"], seed: int
) -> tuple[Int[np.ndarray, " chosen"], Int[np.ndarray, " tested"]]:
    numbers = np.unique(group)
    first = np.random.default_rng(seed).permutation(numbers)[: len(numbers) // 2]
    is_first = np.isin(group, first)
    return np.flatnonzero(is_first), np.flatnonzero(~is_first)


def _overall_claims(
    measured: Measured, answers: Answers, level: float, seed: int
) -> list[StudyClaim]:
    right, confidence = answers.right, answers.confidence
    group, n_cut = answers.group.tolist(), int(measured["n_cut"])
    counts = np.bincount(measured["label"], minlength=len(measured["classes"]))
    majority = float(counts.max() / counts.sum())
    n = len(set(group))
    note = f" ({n_cut} of {len(right)} texts were cut to the context)" if n_cut else ""
    better = f"the subject is right more often than the most frequent class{note}"
    surer = "the subject is more confident than it is right"
    if n < LEAST_GROUPS:
        why = f"({n} groups, and an interval needs {LEAST_GROUPS})"
        return [cannot_say(f"{claim} {why}", n) for claim in (better, surer)]
    accuracy = mean_over_groups(right, group, level=level, seed=seed)
    excess = mean_over_groups(confidence - right, group, level=level, seed=seed)
    return [above(better, accuracy, majority, n), above(surer, excess, 0.0, n)]


def _slice_claim(
    name: str, answers: Answers, inside: Bool[np.ndarray, " text"], level: float
) -> StudyClaim:
    error, group = 1 - answers.right, answers.group
    claim = f"the subject errs more often than elsewhere: {name}"
    n = len(np.unique(group[inside]))
    if not inside.any() or inside.all():
        return cannot_say(f"{claim} (an empty slice in the half that tests)", n)
    excess = difference_of_shares(error, inside, group.tolist(), level=level)
    if excess.low is None:
        return cannot_say(f"{claim} ({n} groups, and an interval needs {LEAST_GROUPS})", n)
    return above(claim, excess, 0.0, n)


def _cell_claims(crossed: CrossedFacets, answers: Answers, level: float) -> list[StudyClaim]:
    if not crossed.cells:
        columns = " and ".join(crossed.facets)
        return [cannot_say(f"no cell of {columns} has {LEAST_GROUPS} groups inside and outside", 0)]
    return [
        _slice_claim(crossed.name(cell), answers, inside, level)
        for cell, inside in crossed.cells.items()
    ]


def _cell_rows(crossed: CrossedFacets, answers: Answers) -> list[dict[str, Any]]:
    rows = [
        _row("cell", crossed.name(cell), answers.at(inside))
        for cell, inside in crossed.cells.items()
    ]
    if crossed.n_left_out:
        name = f"{crossed.n_left_out} cells of fewer than {LEAST_GROUPS} groups"
        rows.append(_row("cells left out", name, answers.at(crossed.left_out)))
    return rows


def calibration_error(
    right: Float[np.ndarray, " text"], confidence: Float[np.ndarray, " text"]
) -> float:
    """Mean of |confidence - accuracy| over bins of confidence, weighted by their sizes."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, confidence - right, BINS)
    return float(np.abs(gaps).sum() / len(right))


def _row(kind: str, name: str, answers: Answers) -> dict[str, Any]:
    right, loss, confidence, group = answers
    accuracy = mean_over_groups(right, group.tolist())
    return {
        "kind": kind,
        "slice": name,
        "texts": len(right),
        "groups": len(np.unique(group)),
        "accuracy": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "loss": float(loss.mean()),
        "confidence": float(confidence.mean()),
        "calibration error": calibration_error(right, confidence),
    }


def _figures(rows: Sequence[Mapping[str, Any]], answers: Answers) -> list[Figure]:
    right, confidence = answers.right, answers.confidence
    overall, *parts = rows
    names, *ends = ([row[column] for row in parts] for column in BAR_COLUMNS)
    control = [overall["accuracy"]] * len(parts)
    title = "Accuracy by slice; control: all texts"
    bars = BarChart("slices", title, "accuracy", names, *ends, control=control)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    used = [number for number in range(BINS) if (place == number).any()]
    surety = [float(confidence[place == number].mean()) for number in used]
    shares = [float(right[place == number].mean()) for number in used]
    lines = [
        PlottedLine("subject", surety, shares),
        PlottedLine("perfect calibration", surety, surety, is_control=True),
    ]
    title = "Share of right answers by confidence"
    return [bars, LinePlot("calibration", title, "confidence", "accuracy", lines)]
