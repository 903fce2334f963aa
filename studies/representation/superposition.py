"""Superposition: do the directions of a layer overlap more than directions at random?

1. Take directions that share the residual stream: what neurons write, what they read, or where tokens
   are unembedded.
2. Mean squared cosine of every two (`tools/representation/interference`). Control: as many random
   directions in as many dimensions, 1 / D.
3. The mean squared cosine follows from the directions' second moments alone. The mean fourth power does
   not: directions in pairs or clusters raise it above that of random directions with the same second
   moments, which is its control.
4. Intervals from leaving out folds of directions.

More directions than dimensions must overlap. That they overlap more than random ones says that they are
not spread to keep out of each other's way; that they do less says that they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, joint_level
from .layer_vectors import one_layer

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ...tools.representation.interference import Overlap
    from ...tools.subject import Subject
    from ..measurements import Measured

DirectionKind = Literal["writes", "reads", "tokens"]
LISTED = 20
"""Pairs of directions in the table, those that overlap most."""
DRAWS = 3
"""Sets of random directions that the control averages over."""


@study(
    "superposition",
    question="Do a layer's directions overlap more than random ones?",
    small=True,
)
def superposition(
    study: StudyContext,
    directions: Annotated[
        DirectionKind,
        Field(description="what neurons write, what they read, or where tokens are unembedded"),
    ] = "writes",
    layer: Annotated[int | None, Field(ge=0, description="default: the middle layer")] = None,
    count: Annotated[int, Field(ge=10, le=20_000, description="drawn at random")] = 2000,
    seed: int = 0,
) -> StudyResult:
    """Measure how much directions that share the residual stream interfere with each other.

    Lists the pairs that overlap most. A cosine near -1 is one feature with two sides; near 1, two units
    that do the same.
    """
    measured = study.measured(
        "directions", lambda: measure_directions(study.subject, directions, layer, count, seed)
    )
    return conclude(measured["directions"], measured["name"].tolist(), seed)


def measure_directions(
    subject: Subject, kind: DirectionKind, layer: int | None, count: int, seed: int
) -> Measured:
    """Directions [direction, d_model] and their names."""
    from ...tools.instruments.neuron_weights import read_directions, write_directions

    at = one_layer(subject, layer)
    if kind == "tokens":
        vectors = cast("Tensor", subject.parts.unembed.weight)
        strings = subject.token_strings()
        known = [place for place, text in enumerate(strings) if text and place < len(vectors)]
        names = [repr(text) for text in strings]
    else:
        # Of what a gated neuron reads, the gate decides whether it fires.
        writes = kind == "writes"
        vectors = write_directions(subject, at) if writes else read_directions(subject, at)[0]
        known = list(range(len(vectors)))
        names = [f"mlp.{at}.{column}" for column in known]
    if len(known) > count:
        drawn = np.random.default_rng(seed).choice(known, count, replace=False)
        known = np.sort(drawn).tolist()
    rows = vectors[known].detach().float().cpu().numpy()
    return {"directions": rows, "name": np.array([names[place] for place in known])}


def conclude(
    directions: Float[np.ndarray, "direction width"], names: list[str], seed: int = 0
) -> StudyResult:
    """Both claims, the pairs that overlap most, and how large overlaps are."""
    from ...tools.representation.folds import jackknife
    from ...tools.representation.interference import overlap, random_like

    measured = overlap(directions, seed)
    random = [overlap(random_like(directions, seed + i), seed) for i in range(DRAWS)]
    alike = [overlap(random_like(directions, seed + i, True), seed) for i in range(DRAWS)]
    count, width = directions.shape
    squared, fourth = (
        Interval(*jackknife(moment.mean, moment.without, joint_level(2)))
        for moment in (measured.squared, measured.fourth)
    )
    claims = [
        above(
            f"{count} directions in {width} dimensions overlap more than random ones "
            f"(mean squared cosine; the least possible is {measured.bound:.3g})",
            squared,
            float(np.mean([one.squared.mean for one in random])),
            count,
        ),
        above(
            "they lie in pairs or clusters more than random directions with the same second moments "
            "(mean fourth power of the cosine)",
            fourth,
            float(np.mean([one.fourth.mean for one in alike])),
            count,
        ),
    ]
    quantiles = np.linspace(0, 1, 101)
    lines = [
        PlottedLine(
            name,
            quantiles.tolist(),
            np.quantile(one.nearest, quantiles).tolist(),
            is_control=one is not measured,
        )
        for name, one in (
            ("these", measured),
            ("random", random[0]),
            ("random, same second moments", alike[0]),
        )
    ]
    title = "Largest overlap of each direction with another"
    figure = LinePlot("overlaps", title, "share of directions", "|cosine|", lines)
    return StudyResult(_closest_pairs(measured, names), claims, [figure])


def _closest_pairs(measured: Overlap, names: list[str]) -> list[dict[str, object]]:
    """The pairs that overlap most, each once."""
    rows: list[dict[str, object]] = []
    for place in np.argsort(-measured.nearest, kind="stable").tolist():
        partner = int(measured.partner[place])
        if place < partner or int(measured.partner[partner]) != place:
            rows.append(
                {
                    "direction": names[place],
                    "nearest": names[partner],
                    "cosine": float(measured.signed[place]),
                    "dimensions": float(measured.dimensions[place]),
                }
            )
    return rows[:LISTED]
