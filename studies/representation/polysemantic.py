"""Polysemantic: does a neuron respond to more than one kind of context?

1. The contexts of an index's explore split in which the neuron is among its 1 % strongest tokens, the
   strongest first, at most five of one word.
2. The vector of a context is what the neuron's MLP reads at the token where it is strongest.
3. The best clusters of these vectors, and their silhouette (`tools/representation/context_kinds`).
4. Control: the percentile of that silhouette over draws in which the words are one cloud. A neuron has
   one kind of context until its interval is above it.
5. Intervals: leaving out folds of words, with the clusters kept; the draws of 4 find their own. With
   several neurons the percentile and the interval are at the level at which all claims hold together.

Elhage et al., "Toy Models of Superposition" (2022), for why a neuron should respond to several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import Interval
from ...tools.errors import UsageError
from ..figures import BarChart, ScatterPlot
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...tools.representation.context_kinds import ContextKinds
    from ..measurements import Measured

STRONG = 0.01
"""Share of the tokens whose activation counts as strong."""
EACH_WORD = 5
LEAST_WORDS, LEAST_CONTEXTS = 12, 24
"""With fewer, a cloud of words has nearly as good clusters as two clouds."""
DRAWS = 99
SHOWN_WORDS = 12
BEFORE, AFTER = 10, 3
"""Tokens around the strongest one that are shown."""


@study("polysemantic", question="Does a neuron respond to more than one kind of context?")
def polysemantic(
    study: StudyContext,
    index: Annotated[str, Field(description="folder of an index of the subject (hubel index)")],
    units: Annotated[
        list[str],
        Field(min_length=1, max_length=20, description="neurons, such as mlp.10.1352 or mlp.3.7-"),
    ],
    contexts: Annotated[int, Field(ge=LEAST_CONTEXTS, le=1000)] = 120,
    seed: int = 0,
) -> StudyResult:
    """Cluster the contexts in which neurons are strongest, and say what is in each cluster.

    A neuron without a side is read on its positive side.
    """
    if len(set(units)) < len(units):
        raise UsageError(f"units {units} given; name each once")
    measured = {
        unit: study.measured(
            f"unit-{place}", lambda unit=unit: measure_contexts(study, index, unit, contexts)
        )
        for place, unit in enumerate(units)
    }
    return conclude(measured, seed)


def measure_contexts(study: StudyContext, index: str, name: str, contexts: int) -> Measured:
    """Vector, word, document, activation and text of each context.

    Raises:
        UsageError: there is no such index, it is of another subject, or the unit is no neuron of it.
    """
    from ...tools.index import Index
    from ...tools.index.strong_tokens import strong_tokens
    from ...tools.subject.address import Unit

    opened, unit = Index.open(index), Unit.parse(name)
    if unit.site != "mlp":
        raise UsageError(f"{name} is no neuron; give mlp.LAYER.NUMBER")
    subject = study.subject
    subject.require_revision(opened.subject_revision, "the index")
    tokens = strong_tokens(subject, opened, unit, STRONG)
    rows, times = [], dict[str, int]()
    for row in np.argsort(-tokens.activation, kind="stable"):
        word = opened.vocabulary[tokens.token[row]].strip().lower()
        if times.get(word, 0) < EACH_WORD and len(rows) < contexts:
            times[word] = times.get(word, 0) + 1
            rows.append(row)
    words = [opened.vocabulary[tokens.token[row]].strip().lower() for row in rows]
    texts = [tokens.around(row, opened.vocabulary, BEFORE, AFTER) for row in rows]
    return {
        "vectors": tokens.mlp_in[rows],
        "word": np.array(words, dtype=str),
        "document": tokens.document[rows],
        "activation": tokens.activation[rows],
        "text": np.array(texts, dtype=str),
    }


def conclude(measured: Mapping[str, Measured], seed: int = 0, draws: int = DRAWS) -> StudyResult:
    """A claim and a scatter for each neuron, and a row for each kind of context."""
    level = joint_level(len(measured))
    draws = max(draws, round(2 / (1 - level)) - 1)  # so that the percentile is among them
    claims: list[StudyClaim] = []
    rows: list[dict[str, Any]] = []
    scatters: list[ScatterPlot] = []
    for place, (unit, contexts) in enumerate(measured.items()):
        claim = f"{unit} responds to more than one kind of context"
        n_words = len(np.unique(contexts["word"]))
        if n_words < LEAST_WORDS or len(contexts["word"]) < LEAST_CONTEXTS:
            claims.append(cannot_say(_too_few(claim, contexts, n_words), n_words))
            rows += _rows(unit, contexts, np.zeros(len(contexts["word"]), dtype=int), None)
            continue
        judged, kinds, points = _judge(claim, contexts, level, [seed, place], draws)
        claims.append(judged)
        several = judged.verdict == "supported"
        kind = kinds.kind if several else np.zeros(len(points), dtype=int)
        rows += _rows(unit, contexts, kind, kinds.silhouette)
        scatters.append(_scatter(unit, contexts, kind, points))
    return StudyResult(rows, claims, [_bars(list(measured), claims), *scatters])


def _too_few(claim: str, contexts: Measured, n_words: int) -> str:
    return (
        f"{claim} ({len(contexts['word'])} contexts of {n_words} words; {LEAST_CONTEXTS} of "
        f"{LEAST_WORDS} are needed)"
    )


def _judge(
    claim: str, contexts: Measured, level: float, seed: Sequence[int], draws: int
) -> tuple[StudyClaim, ContextKinds, Float[np.ndarray, "context component"]]:
    from ...tools.representation.context_kinds import best_kinds, one_cloud, reduced, silhouette_of
    from ...tools.representation.folds import fold_of_rows, jackknife

    points = reduced(contexts["vectors"], "the vectors of the contexts")
    names, word = np.unique(contexts["word"], return_inverse=True)
    kinds = best_kinds(points, word)
    random = np.random.default_rng([*seed, 1])
    null = [best_kinds(one_cloud(points, word, random), word).silhouette for _ in range(draws)]
    fold = fold_of_rows(word, seed[0])
    folds = [fold != left for left in np.unique(fold)]
    without = [silhouette_of(points[kept], kinds.kind[kept]) for kept in folds]
    interval = Interval(*jackknife(kinds.silhouette, np.array(without), level))
    control = float(np.quantile(null, (1 + level) / 2, method="higher"))
    several = f"{claim} (silhouette of {kinds.n_kinds})" if kinds.n_kinds > 1 else claim
    return above(several, interval, control, len(names)), kinds, points


def _rows(
    unit: str, contexts: Measured, kind: Int[np.ndarray, " context"], silhouette: float | None
) -> list[dict[str, Any]]:
    """A row for each kind: its words by their summed activation, and its strongest context."""
    rows: list[dict[str, Any]] = []
    for number in range(int(kind.max(initial=0)) + 1):
        inside = np.flatnonzero(kind == number)
        names, word = np.unique(contexts["word"][inside], return_inverse=True)
        weight = np.bincount(word, contexts["activation"][inside], len(names))
        strongest = inside[np.argmax(contexts["activation"][inside])] if len(inside) else None
        rows.append(
            {
                "unit": unit,
                "kind": number + 1,
                "contexts": len(inside),
                "silhouette": silhouette,
                "words": ", ".join(names[np.argsort(-weight, kind="stable")][:SHOWN_WORDS]),
                "strongest": "" if strongest is None else str(contexts["text"][strongest]),
            }
        )
    return rows


def _scatter(
    unit: str, contexts: Measured, kind: Int[np.ndarray, " context"], points: np.ndarray
) -> ScatterPlot:
    return ScatterPlot(
        f"contexts-{unit.replace('+', 'plus').replace('-', 'minus')}",
        f"Contexts of {unit} by what its MLP reads",
        "component 1",
        "component 2",
        points[:, 0].tolist(),
        points[:, 1].tolist(),
        contexts["text"].tolist(),
        [f"kind {number + 1}" if number >= 0 else "outlier" for number in kind],
    )


def _bars(units: list[str], claims: Sequence[StudyClaim]) -> BarChart:
    columns = zip(*((c.value, c.low, c.high, c.control) for c in claims), strict=True)
    values, lows, highs, controls = map(list, columns)
    return BarChart(
        "silhouettes",
        "Silhouette of the best clusters (mark: the most that one cloud has by chance)",
        "silhouette",
        units,
        values,
        lows,
        highs,
        controls,
    )
