"""How good could explanations by these concepts be? The best that was found, with and without hindsight.

The concepts are the search's candidates and every other form that it chose for one of the units
(windows, conjunctions). Weights are fitted; prices, degrees and the length of a sentence are left
out.

1. *Three*: of all triples of the 300 concepts that explain most alone, the best on explore, scored
   on holdout (`best_subset`). No triple of them is left out.
2. *Twelve*: forward selection with swaps over all concepts, the same. Another twelve may be better.
3. Either chosen and fitted on holdout itself, with hindsight: what is honest is below. *Moved* is
   the same for the signal of other places of the text: what choosing alone brings.
4. *All*: ridge over all concepts that hold at 20 positions (`full_ridge`), the ridge chosen over
   documents for r, over words for r on token types that explore never has. *Embedding*: the latter
   from the token's vector.
5. *Halves*: twelve chosen and fitted on either half of the explore documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tools.correlation import pearson
from ...tools.dissection.ridge import RIDGE
from .best_subset import (
    Moments,
    best_subset,
    best_triples,
    centred_gram,
    least_error,
    moments_of,
)
from .concept_table import ConceptTable
from .full_ridge import tuned_weights
from .summary import mean

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_matrix

    from ...agent.runlog.progress import Reporter
    from .measure import ExplanationBench, ExplanationRow

    Figures = dict[str, list[float | None]]
    Signals = Float[np.ndarray, "signals positions"]

POOL = 300
"""Concepts of which all triples are tried. On 20 neurons 100, 200 and 400 gave r .300, .301, .301."""
TWELVE = 12
LEAST_OF_ALL = 20
"""Positions of a concept of *all*: of 10,469 on Lee news 4,859, which takes an eighth of the time."""
EMBEDDING_RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Smaller than those of concepts, since the vectors have length 1."""
HINDSIGHT_RIDGE = 1e-3
"""Next to nothing, as hindsight is the point; but columns may be equal."""
FIGURES = {
    "headline_best": "three",
    "headline_hindsight": "hindsight",
    "headline_moved": "moved",
    "meaning_best": "twelve",
    "meaning_hindsight": "hindsight",
    "meaning_moved": "moved",
    "meaning_all": "all",
    "unseen_best": "unseen: twelve",
    "unseen_all": "all",
    "unseen_embedding": "embedding",
    "half_r_best": "halves, r: twelve",
    "half_shared_best": "shared: twelve",
}
"""Keys of a line, each an r on holdout (the last a Jaccard index), and their heads in the table."""


def bounds(bench: ExplanationBench, rows: Sequence[ExplanationRow]) -> list[dict[str, Any]]:
    """A line with the bounds of each unit; ``rows`` has the units' formulas."""
    units = [measured.unit for measured in bench.drawn.units]
    explore, holdout = bench.text.explore, bench.text.holdout
    chosen = (term.concept for row in rows for term in row.formula.terms)
    table = ConceptTable.of(bench.candidates, chosen, bench.text, bench.half_of_context)
    signals = np.array([explore.signal(unit)[bench.candidates.keep] for unit in units], np.float64)
    held_out = np.array([holdout.signal(unit)[holdout.mask] for unit in units], np.float64)
    in_halves = [measured.in_halves for measured in bench.drawn.units]
    figures = bounds_of(table, signals, held_out, in_halves, bench.reporter)
    return [
        {"target": row.target, "kind": row.kind, "layer": row.layer}
        | {name: figures[name][number] for name in FIGURES}
        for number, row in enumerate(rows)
    ]


def bounds_of(
    table: ConceptTable,
    signals: Signals,
    held_out: Signals,
    in_halves: Sequence[bool],
    reporter: Reporter,
) -> Figures:
    """The values of each figure by signal; None where there is nothing to measure.

    Args:
        signals: on explore; held_out: the same units on holdout.
    """
    gram = centred_gram(table.explore)
    # Half the text away a signal keeps its distribution, and follows none of the concepts.
    moved = np.roll(held_out, held_out.shape[1] // 2, axis=1)
    steps: dict[str, Callable[[], Figures]] = {
        "chosen on explore": lambda: _few(table, gram, signals, held_out),
        "with hindsight": lambda: _with_hindsight(table, held_out, "hindsight"),
        "moved": lambda: _with_hindsight(table, moved, "moved"),
        "all concepts": lambda: _all(table.often(LEAST_OF_ALL), signals, held_out),
        "halves": lambda: _halves(table, signals, in_halves),
        "embedding": lambda: _embedding(table, signals, held_out),
    }
    figures: Figures = {}
    for done, (note, step) in enumerate(steps.items()):
        reporter.update("bounds", done, len(steps), unit="steps", note=note)
        figures |= step()
    reporter.update("bounds", len(steps), len(steps), unit="steps")
    return figures


def bound_means(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means for each kind and layer, and for each kind over all layers (layer None)."""
    means: list[dict[str, Any]] = []
    for kind in dict.fromkeys(line["kind"] for line in lines):
        of_kind = [line for line in lines if line["kind"] == kind]
        layers = sorted({line["layer"] for line in of_kind}) if kind != "head" else []
        for layer in (*layers, None):
            alike = [line for line in of_kind if layer in (None, line["layer"])]
            known = {name: mean(line[name] for line in alike) for name in FIGURES}
            means.append({"kind": kind, "layer": layer, "targets": len(alike), **known})
    return means


# ------------------------------------------------- 1. and 2.: chosen on explore


def _few(table: ConceptTable, gram: np.ndarray, signals: Signals, held_out: Signals) -> Figures:
    """Three and twelve concepts, chosen and fitted on explore."""
    fold_rows = [table.explore[:, table.fold != fold] for fold in np.unique(table.fold)]
    names = ("headline_best", "meaning_best", "unseen_best")
    figures: Figures = {name: [] for name in names}
    for signal, truth in zip(signals, held_out, strict=True):
        moments = moments_of(gram, table.explore, signal)
        pool = _pool(moments, RIDGE)
        without = [
            moments_of(centred_gram(rows[pool]), rows[pool], signal[table.fold != fold])
            for fold, rows in enumerate(fold_rows)
        ]
        part = moments.take(pool)
        three = pool[least_error(best_triples(part, RIDGE), part, without, RIDGE)]
        predicted = _predicted(table.holdout, three, moments.weights(three, RIDGE))
        figures["headline_best"].append(pearson(predicted, truth))
        twelve = best_subset(moments, TWELVE, RIDGE)
        predicted = _predicted(table.holdout, twelve, moments.weights(twelve, RIDGE))
        figures["meaning_best"].append(pearson(predicted, truth))
        figures["unseen_best"].append(_r_where(table.is_unseen, predicted, truth))
    return figures


def _pool(moments: Moments, ridge: float) -> Int[np.ndarray, " pool"]:
    """The concepts that explain most alone."""
    alone = moments.product**2 / (moments.gram.diagonal() + ridge)
    return np.argsort(-alone, kind="stable")[:POOL]


def _predicted(
    rows: csr_matrix, chosen: Int[np.ndarray, " chosen"], weights: Float[np.ndarray, " chosen"]
) -> Float[np.ndarray, " positions"]:
    return rows[chosen].T @ weights


def _r_where(
    where: np.ndarray, predicted: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]
) -> float | None:
    return pearson(predicted[where], truth[where]) if where.any() else None


# ------------------------------------------------------ 3.: chosen on holdout


def _with_hindsight(table: ConceptTable, held_out: Signals, how: str) -> Figures:
    """Three and twelve concepts, chosen and fitted on holdout: r on the same positions."""
    gram = centred_gram(table.holdout)
    headlines: list[float | None] = []
    meanings: list[float | None] = []
    for signal in held_out:
        moments = moments_of(gram, table.holdout, signal)
        pool = _pool(moments, HINDSIGHT_RIDGE)
        triples = pool[best_triples(moments.take(pool), HINDSIGHT_RIDGE)]
        headlines.append(max((_fitted_r(moments, three) for three in triples), default=0.0))
        meanings.append(_fitted_r(moments, best_subset(moments, TWELVE, HINDSIGHT_RIDGE)))
    return {f"headline_{how}": headlines, f"meaning_{how}": meanings}


def _fitted_r(moments: Moments, chosen: Int[np.ndarray, " chosen"]) -> float:
    return moments.r(chosen, moments.weights(chosen, HINDSIGHT_RIDGE))


# ----------------------------------------------------------- 4.: all concepts


def _all(table: ConceptTable, signals: Signals, held_out: Signals) -> Figures:
    """Ridge over all concepts of a table."""
    gram = centred_gram(table.explore)
    products = table.explore @ _centred(signals).T
    over_documents = _tuned(table.explore, gram, products, signals, table.fold)
    over_words = _tuned(table.explore, gram, products, signals, table.word_fold)
    pairs = list(zip((table.holdout.T @ over_documents).T, held_out, strict=True))
    unseen_pairs = zip((table.holdout.T @ over_words).T, held_out, strict=True)
    return {
        "meaning_all": [pearson(*pair) for pair in pairs],
        "unseen_all": [_r_where(table.is_unseen, *pair) for pair in unseen_pairs],
    }


def _tuned(
    rows: csr_matrix, gram: np.ndarray, products: np.ndarray, signals: Signals, fold: np.ndarray
) -> np.ndarray:
    """Weights of all concepts, the ridge chosen on the first fold."""
    kept = fold != 0
    fewer = rows[:, kept]
    products_without = fewer @ _centred(signals[:, kept]).T
    return tuned_weights(gram, products, centred_gram(fewer), products_without)[0]


# ------------------------------------------------------------- 5.: two halves


def _halves(table: ConceptTable, signals: Signals, in_halves: Sequence[bool]) -> Figures:
    """Agreement on holdout of what two halves give, for some of the signals."""
    figures: Figures = {name: [None] * len(signals) for name in ("half_r_best", "half_shared_best")}
    chosen = np.flatnonzero(in_halves).tolist()
    if not chosen:
        return figures
    first, second = (_twelve_of_half(table, half, signals[chosen]) for half in (0, 1))
    for number, one, other in zip(chosen, first, second, strict=True):
        predicted = [_predicted(table.holdout, *twelve) for twelve in (one, other)]
        figures["half_r_best"][number] = pearson(*predicted)
        figures["half_shared_best"][number] = _jaccard(one[0], other[0])
    return figures


def _twelve_of_half(
    table: ConceptTable, half: int, signals: Signals
) -> list[tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, " chosen"]]]:
    """Twelve concepts with their weights for each signal, from half of the explore documents."""
    kept = table.half == half
    rows = table.explore[:, kept]
    gram = centred_gram(rows)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for signal in signals:
        moments = moments_of(gram, rows, signal[kept])
        twelve = best_subset(moments, TWELVE, RIDGE)
        found.append((twelve, moments.weights(twelve, RIDGE)))
    return found


def _jaccard(first: np.ndarray, second: np.ndarray) -> float:
    return len(np.intersect1d(first, second)) / len(np.union1d(first, second))


def _centred(signals: Signals) -> Signals:
    return signals - signals.mean(axis=1, keepdims=True)


def _embedding(table: ConceptTable, signals: Signals, held_out: Signals) -> Figures:
    """Ridge over the embedding of the token, on unseen types."""
    if table.vectors is None:
        return {"unseen_embedding": [None] * len(signals)}
    explore, holdout = (vectors.astype(np.float64) for vectors in table.vectors)
    kept = table.word_fold != 0
    parts = [_dense_moments(explore, signals), _dense_moments(explore[kept], signals[:, kept])]
    weights, _ = tuned_weights(*parts[0], *parts[1], EMBEDDING_RIDGES)
    predicted = (holdout @ weights).T
    pairs = zip(predicted, held_out, strict=True)
    return {"unseen_embedding": [_r_where(table.is_unseen, *pair) for pair in pairs]}


def _dense_moments(vectors: np.ndarray, signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    centred = vectors - vectors.mean(axis=0)
    return centred.T @ centred, centred.T @ _centred(signals).T
