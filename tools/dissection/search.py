"""The compositional search: which named concepts, and which tokens besides, predict a unit best?

1. *Meaning*: a greedy search with swaps over all concepts (``greedy``). A concept must pay for its
   length, and a class must hold on words that its weight never saw.
2. Weights are rounded to three degrees with one step (``ridge.fit_levels``), so that the sentence
   says all that the formula knows.
3. *Residue*: the exact tokens that explain most of what is left, with a weight each (``residue``).
4. Rivals: the first steps of the search with a residue, and a list of tokens without any concept.

Network dissection (Bau et al. 2017, arXiv 1704.05796) asks which concept overlaps most with a
unit's activations; compositional explanations (Mu & Andreas 2020, arXiv 2006.14032) search formulas
of concepts; Neuron-to-Graph (Foote et al. 2023, arXiv 2305.19911) does so for tokens and their
context. Here the formula is a weighted sum, since a gated MLP neuron is graded and has two sides.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np

from ..errors import UsageError
from .candidates import CandidateMatrix
from .exceptions import mark_exceptions
from .greedy import FormulaLimits, GreedySearch, GreedyState, is_concept
from .lexicon import Lexicon
from .predicate import MAX_LITERALS, Predicate, limit_problem
from .residue import TokenList, list_tokens
from .ridge import graded_predicate, rounded
from .text_view import TextView

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int

    from .concepts import Concept

SEARCH_SEED = 0  # of the folds
SHORT = 4  # concepts of the short rival


class ScoredFormula(NamedTuple):
    """A formula, its cross-validated correlation on explore, and the search that it comes from."""

    predicate: Predicate
    r_explore_cv: float
    origin: str


def search_formulas(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    document: Int[np.ndarray, "contexts"],
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
    candidates: CandidateMatrix | None = None,
    seed: int = SEARCH_SEED,
    limits: FormulaLimits | None = None,
    cache: dict[str, Any] | None = None,
    allowed: Callable[[Concept], bool] = is_concept,
) -> list[ScoredFormula]:
    """Competing formulas for one signal on explore, best cross-validated correlation first.

    Args:
        signal: activation of every token, already of the side that is to be explained.
        mask: tokens that count; position 0 and padding are always left out.
        candidates: made by ``build_candidates`` for the same tokens.
        cache: in place of ``candidates``; shared by the targets of a run, which build them once.
        seed: of the folds.
        allowed: which concepts the meaning may use.

    Returns:
        Rivals of origin "full", "short", "tokens only", without duplicates; one empty predicate if
        nothing is significant.
    """
    if candidates is None:
        cache = {} if cache is None else cache
        candidates = shared_candidates(tokens, length, document, mask, lexicon, seed, cache)
    values = np.asarray(signal, dtype=np.float64)[candidates.keep]
    formulas: dict[Predicate, ScoredFormula] = {}
    search = GreedySearch(candidates, values, limits or FormulaLimits(), allowed)
    for origin, state in _rivals(search).items():
        formula = _formula(candidates, state, float(values.mean()), origin)
        formulas.setdefault(formula.predicate, formula)
    return sorted(formulas.values(), key=lambda formula: -formula.r_explore_cv)


def build_candidates(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    document: Int[np.ndarray, "contexts"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
    seed: int = SEARCH_SEED,
) -> CandidateMatrix:
    """The candidates that all targets of one explore split share; takes a few seconds of CPU."""
    keep = np.array(mask, dtype=bool)
    keep[:, 0] = False
    return CandidateMatrix(TextView(tokens, length, lexicon), document, keep, seed)


def shared_candidates(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    document: Int[np.ndarray, "contexts"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
    seed: int,
    cache: dict[str, Any],
) -> CandidateMatrix:
    """The candidates in a cache, built there now if it has none for this text. Safe to share by threads."""
    key = f"dissection candidates {crc32(tokens.tobytes())} {crc32(mask.tobytes())} {seed}"
    # Targets are explained in parallel; one of them builds the candidates, the others wait.
    with cache.setdefault("dissection lock", Lock()):
        if key not in cache:
            cache[key] = build_candidates(tokens, length, document, mask, lexicon, seed)
        return cache[key]


def _rivals(search: GreedySearch) -> dict[str, GreedyState]:
    """The final state of each search; where two agree, the first one's origin counts."""
    path = search.path()
    full = path[-1]
    for _ in range(search.limits.cycles):
        full = search.swapped(full)
    return {"full": full, "short": path[min(SHORT, len(path) - 1)], "tokens only": path[0]}


def _formula(
    candidates: CandidateMatrix, state: GreedyState, mean: float, origin: str
) -> ScoredFormula:
    """The formula of some concepts and the residue that they leave; shorter if it is too long."""
    moments, chosen = state.moments, state.chosen
    while True:
        try:
            meaning = graded_predicate(chosen, moments, mean)
            columns = [candidates.column(term.concept) for term in meaning.terms]
            meaning = replace(meaning, terms=mark_exceptions(meaning.terms, columns))
            listed = _residue(candidates, meaning, moments.signal)
            if not limit_problem(meaning.terms, listed.tokens):
                break
        except UsageError:
            pass
        weakest = moments.weakest()
        moments, chosen = moments.removed(weakest), chosen[:weakest] + chosen[weakest + 1 :]
    rest = rounded(meaning.rest - listed.step * listed.mean)
    predicate = Predicate(meaning.terms, listed.step, rest, listed.tokens)
    total = float(moments.squares.sum())
    error = moments.error() - listed.gain
    r = np.sqrt(max(0.0, 1 - error / total)) if total else 0.0
    return ScoredFormula(predicate, float(r), origin)


def _residue(
    candidates: CandidateMatrix, meaning: Predicate, signal: Float[np.ndarray, "positions"]
) -> TokenList:
    """The tokens that explain most of what a formula leaves of a signal."""
    residual = signal - meaning.step * np.sum(
        [term.weight * candidates.column(term.concept) for term in meaning.terms], axis=0
    )
    most = MAX_LITERALS - len(meaning.literals())
    step = meaning.step if meaning.terms else None
    return list_tokens(candidates, residual - residual.mean(), most, step)
