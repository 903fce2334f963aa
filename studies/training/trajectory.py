"""Trajectory: what appears when, over checkpoints of one model in the order of training.

1. Each checkpoint reads the same texts (loss by text) and the same rows of random tokens, each row
   repeated once. The gain of a row is the loss of its first copy less that of its second: what the
   model has learned to read off the context (Olsson et al. 2022, arXiv 2209.11895).
2. On the repeated rows every head's attention to what followed the earlier copy is its induction
   score. The head with the highest one at the last checkpoint is chosen on half of the rows, and
   everything said of it is measured on the other half.
3. Order: the loss of no checkpoint may exceed that of the one before by more than a share of the
   range of all losses. Checkpoints in another order fail this.
4. Timing: the head's rises and the falls of the second copy's loss, step by step, are correlated.
   Control: the same steps paired at random; the correlation must exceed their 99.4th percentile
   (the 97.5th, corrected for four claims).
5. Cause: the head is removed (its output set to 0) at the last checkpoint. Control: the mean over
   the other heads of its layer.
6. With a labelled data set: probes of each checkpoint, and what the first one does not read (`readings`).

Intervals: bootstrap over texts and rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval, bootstrap, resample_counts
from ..figures import HeatMap, LinePlot, PlottedLine
from ..registry import study
from ..representation.layer_vectors import Pooling, TextCount
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, below, cannot_say, joint_level
from . import readings as label_readings
from .readings import LabelReadings, conclude_readings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from ..measurements import Measured

CLAIMS = 4
"""Without a labelled data set; all claims of a study share its level."""
TOLERATED_RISE = 0.05
"""Share of the range of the losses: late checkpoints go up and down by as much in the tiny models."""
LEAST_STEPS = 8
"""With fewer steps nearly every pairing of them correlates as highly by chance."""
LEAST_ROWS = 8
PAIRINGS = 999


@study(
    "trajectory",
    question="Over checkpoints: does the loss fall, a head appear where it does, a label become readable?",
    subjects=-1,
)
def trajectory(
    study: StudyContext,
    corpus: Annotated[
        str, Field(description="text whose loss is measured; '' for none")
    ] = "lee-news",
    documents: Annotated[int, Field(ge=LEAST_ROWS, le=10_000)] = 24,
    rows: Annotated[int, Field(ge=2 * LEAST_ROWS, le=10_000)] = 32,
    data: Annotated[
        str, Field(description="labelled data set that is probed at each checkpoint; '' for none")
    ] = "",
    texts: TextCount = 1000,
    pooling: Pooling = "last",
    seed: int = 0,
) -> StudyResult:
    """Follow loss, in-context learning, induction heads and a property over checkpoints of one model.

    Give the checkpoints as subjects, in the order of training. Tells when a head appears, whether
    the loss falls at the same steps, whether the head carries what was learned, and with a labelled
    data set at which checkpoints a probe can read its label.
    """
    from .checkpoints import copies, measure_checkpoint, measure_removed, repeated_rows, same_shape

    checkpoints: list[Measured] = []
    readings: list[Measured] = []
    for place, name in enumerate(study.names):
        study.progress("checkpoints", place, len(study.names))
        if data:  # first, so that an unknown data set fails at once
            readings.append(
                study.measured(
                    f"readings-{place}",
                    lambda place=place: label_readings.measure_readings(
                        study, place, data, texts, pooling, seed
                    ),
                )
            )
        checkpoints.append(
            study.measured(
                f"checkpoint-{place}",
                lambda place=place: measure_checkpoint(
                    study.subject_at(place), corpus, documents, rows, seed
                ),
            )
        )
        same_shape(study.names[0], checkpoints[0], name, checkpoints[-1])
    layer, _ = chosen_head(checkpoints[-1]["induction"])

    def measure_last() -> Measured:
        last = study.subject_at(len(study.names) - 1)
        ids = repeated_rows(last, rows, seed)
        return measure_removed(last, ids, copies(ids)[1], layer)

    removed = study.measured("removed", measure_last)
    label = LabelReadings(data, readings) if data else None
    return conclude(study.names, checkpoints, removed["second"], seed, label)


def chosen_head(induction: Float[np.ndarray, "row layer head"]) -> tuple[int, int]:
    """The layer and head that attend most to the token to be repeated, on the even rows."""
    scores = induction[::2].mean(axis=0)
    layer, head = np.unravel_index(int(scores.argmax()), scores.shape)
    return int(layer), int(head)


def conclude(
    names: Sequence[str],
    checkpoints: Sequence[Measured],
    removed: Float[np.ndarray, "head row"],
    seed: int = 0,
    label: LabelReadings | None = None,
) -> StudyResult:
    """Four claims, a row for each checkpoint, curves, and the last checkpoint's heads.

    Args:
        removed: loss of the second copies at the last checkpoint without each head of the chosen
            head's layer.
        label: what probes read, for two more claims.
    """
    n_claims = CLAIMS + label_readings.CLAIMS * (label is not None)
    layer, head = chosen_head(checkpoints[-1]["induction"])
    loss = np.stack([measured["loss"] for measured in checkpoints])  # checkpoint text
    first, second = (
        np.stack([measured[copy][1::2] for measured in checkpoints]) for copy in ("first", "second")
    )
    score = np.stack([measured["induction"][1::2, layer, head] for measured in checkpoints])
    claims = [
        order_claim(loss, seed, n_claims),
        above(
            "the last checkpoint reads more off the context than the first",
            _mean((first - second)[-1] - (first - second)[0], seed, n_claims),
            0.0,
            first.shape[1],
        ),
        timing_claim(
            f"head {layer}.{head} rises at the steps at which", score, second, seed, n_claims
        ),
        _cause_claim(f"{layer}.{head}", removed[:, 1::2] - second[-1], head, seed, n_claims),
    ]
    rows = [
        {
            "checkpoint": name,
            "loss": float(loss[place].mean()),
            "first copy": float(first[place].mean()),
            "second copy": float(second[place].mean()),
            f"induction of {layer}.{head}": float(score[place].mean()),
            "best previous-token head": float(measured["previous"].mean(axis=0).max()),
        }
        for place, (name, measured) in enumerate(zip(names, checkpoints, strict=True))
    ]
    figures = _figures(rows, checkpoints[-1], f"{layer}.{head}")
    if label is None:
        return StudyResult(rows, claims, figures)
    read = conclude_readings(label, joint_level(n_claims), seed)
    rows = [row | columns for row, columns in zip(rows, read.columns, strict=True)]
    return StudyResult(rows, [*claims, *read.claims], [*figures, *read.figures])


def order_claim(
    loss: Float[np.ndarray, "checkpoint text"], seed: int = 0, claims: int = CLAIMS
) -> StudyClaim:
    """That no checkpoint is worse than the one before by more than a share of the range of losses."""
    steps, texts = len(loss) - 1, loss.shape[1]
    claim = "the loss does not rise from a checkpoint to the next"
    fall = _mean(loss[0] - loss[-1], seed, claims)
    rises = np.diff(loss, axis=0)  # step text
    worst = _mean(rises[int(rises.mean(axis=1).argmax())], seed, claims * steps)
    spread = float(np.ptp(loss.mean(axis=1)))
    judged = below(claim, worst, TOLERATED_RISE * spread, texts)
    if judged.verdict == "supported" and (fall.low is None or fall.low <= 0):
        return cannot_say(
            f"{claim} (it is no lower at the last than at the first)", texts, worst.value
        )
    return judged


def timing_claim(
    claim: str,
    score: Float[np.ndarray, "checkpoint row"],
    loss: Float[np.ndarray, "checkpoint row"],
    seed: int = 0,
    claims: int = CLAIMS,
) -> StudyClaim:
    """That rises of the score go with falls of the loss, more than steps paired at random."""
    steps, rows = len(score) - 1, score.shape[1]
    claim = f"{claim} the loss of the second copy falls"
    if steps < LEAST_STEPS:
        return cannot_say(f"{claim} (needs {LEAST_STEPS + 1} checkpoints, {steps + 1} given)", rows)
    counts = np.vstack([np.ones(rows), resample_counts(rows, seed)])  # all rows, then each resample
    rises, falls = np.diff(score @ counts.T, axis=0).T, -np.diff(loss @ counts.T, axis=0).T
    if not (np.ptp(rises[0]) and np.ptp(falls[0])):
        return cannot_say(f"{claim} (nothing changes)", rows)
    draws = _correlations(rises, falls)
    tail = (1 - joint_level(claims)) / 2
    low, high = np.quantile(draws[1:], [tail, 1 - tail]).tolist()
    random = np.random.default_rng(seed)
    pairings = random.permuted(np.tile(falls[0], (PAIRINGS, 1)), axis=1)
    by_chance = _correlations(np.tile(rises[0], (PAIRINGS, 1)), pairings)
    control = float(np.quantile(by_chance, 1 - tail))
    verdict = "supported" if low > control else "refuted" if high < 0 else "cannot say"
    return StudyClaim(claim, verdict, float(draws[0]), low, high, control, rows)


def _cause_claim(
    name: str, rises: Float[np.ndarray, "head row"], head: int, seed: int, claims: int
) -> StudyClaim:
    """That removing the head costs more than removing another head of its layer."""
    claim = f"without head {name} the second copy's loss rises more than without another head of its layer"
    others = np.delete(rises, head, axis=0)
    rows = rises.shape[1]
    if not len(others):
        return cannot_say(f"{claim} (it has no other head)", rows)
    placebo = others.mean(axis=0)
    interval = _mean(rises[head] - placebo, seed, claims)
    control = float(placebo.mean())
    # the difference from the other heads decides, and is shown on top of what those cost
    low, high = (None if end is None else end + control for end in interval[1:])
    return above(claim, Interval(interval.value + control, low, high), max(control, 0.0), rows)


def _mean(values: Float[np.ndarray, " row"], seed: int, claims: int) -> Interval:
    """Mean over texts or rows, with its bootstrap interval at the level of so many claims."""
    sums = np.stack([values, np.ones_like(values)], axis=1).astype(np.float64)
    return bootstrap(sums, lambda s: s[..., 0] / s[..., 1], seed, level=joint_level(claims))


def _correlations(
    left: Float[np.ndarray, "draw step"], right: Float[np.ndarray, "draw step"]
) -> Float[np.ndarray, " draw"]:
    left = left - left.mean(axis=1, keepdims=True)
    right = right - right.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / np.maximum(sizes, 1e-30)


def _figures(
    rows: Sequence[dict[str, object]], last: Measured, name: str
) -> list[LinePlot | HeatMap]:
    places = list(range(len(rows)))

    def line(column: str, *, is_control: bool = False) -> PlottedLine:
        values = [float(str(row[column])) for row in rows]
        return PlottedLine(column, places, values, is_control=is_control)

    losses = [line("loss"), line("first copy", is_control=True), line("second copy")]
    scores = [line(f"induction of {name}"), line("best previous-token head", is_control=True)]
    heads = last["induction"].mean(axis=0)
    return [
        LinePlot("losses", "Loss by checkpoint", "checkpoint", "nats", losses),
        LinePlot("heads", "Heads by checkpoint", "checkpoint", "attention", scores),
        HeatMap(
            "induction",
            "Induction score of each head at the last checkpoint",
            "head",
            "layer",
            [str(head) for head in range(heads.shape[1])],
            [str(layer) for layer in range(heads.shape[0])],
            heads.tolist(),
        ),
    ]
