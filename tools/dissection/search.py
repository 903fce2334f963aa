"""The compositional search: which formulas of at most 12 concepts predict a unit best?

1. A greedy search with swaps over all concepts (``greedy``) gives the full formula; its first steps
   give a short one.
2. Two more searches give rivals: exact tokens only, and categories only (no listed word at all).
3. Weights are rounded to five grades with one step (``ridge.fit_levels``), so that the sentence says
   all that the formula knows.

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

from .candidates import CandidateMatrix
from .greedy import FormulaLimits, GreedySearch, GreedyState, is_category, is_token
from .lexicon import Lexicon
from .predicate import Predicate
from .ridge import graded_predicate
from .text_view import TextView

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SEARCH_SEED = 0  # of the folds
SHORT = 5  # concepts of the short rival
TOKENS = 10  # concepts of the rival of tokens only


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
) -> list[ScoredFormula]:
    """Competing formulas for one signal on explore, best cross-validated correlation first.

    Args:
        signal: activation of every token, already of the side that is to be explained.
        mask: tokens that count; position 0 and padding are always left out.
        candidates: made by ``build_candidates`` for the same tokens.
        cache: in place of ``candidates``; shared by the targets of a run, which build them once.
        seed: of the folds.

    Returns:
        Rivals of origin "full", "short", "tokens only", "categories only", without duplicates; one
        empty predicate if nothing is significant.
    """
    if candidates is None:
        cache = {} if cache is None else cache
        candidates = shared_candidates(tokens, length, document, mask, lexicon, seed, cache)
    values = np.asarray(signal, dtype=np.float64)[candidates.keep]
    formulas: dict[Predicate, ScoredFormula] = {}
    for origin, state in _rivals(candidates, values, limits or FormulaLimits()).items():
        predicate = graded_predicate(state.chosen, state.moments, float(values.mean()))
        total = float(state.moments.squares.sum())
        r = np.sqrt(max(0.0, 1 - state.error / total)) if total else 0.0
        formulas.setdefault(predicate, ScoredFormula(predicate, float(r), origin))
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


def _rivals(
    candidates: CandidateMatrix, values: Float[np.ndarray, "positions"], limits: FormulaLimits
) -> dict[str, GreedyState]:
    """The final state of each search; where two agree, the first one's origin counts."""
    search = GreedySearch(candidates, values, limits)
    path = search.path()
    full = path[-1]
    for _ in range(limits.cycles):
        full = search.swapped(full)
    cheap = replace(limits, cycles=0, tries=1)
    cheap_tokens = replace(cheap, concepts=min(TOKENS, limits.concepts))
    tokens = GreedySearch(candidates, values, cheap_tokens, is_token).path()
    categories = GreedySearch(candidates, values, cheap, is_category).path()
    return {
        "full": full,
        "short": path[min(SHORT, len(path) - 1)],
        "tokens only": tokens[-1],
        "categories only": categories[-1],
    }
