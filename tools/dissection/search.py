"""The compositional search: which formulas of at most 12 concepts predict a unit best?

1. A greedy search with swaps over all concepts (``greedy``) gives the full formula; its first steps
   give a short one.
2. Two more searches give rivals: exact tokens only, and categories only (no listed word at all).
3. Weights are rounded to five grades with one step (``fit.grade``): the sentence says all that the
   formula knows.

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

SHORT = 5  # concepts of the short rival
TOKENS = 10  # of the rival that knows nothing else


class ScoredFormula(NamedTuple):
    """A hypothesis: its formula, its cross-validated correlation on explore, and which search made it."""

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
    library: CandidateMatrix | None = None,
    seed: int = 0,
    limits: FormulaLimits | None = None,
    cache: dict[str, Any] | None = None,
) -> list[ScoredFormula]:
    """Competing formulas for one signal on the explore split, best cross-validated correlation
    first.

    Args:
        signal: activation of every token, already of the side that is to be explained.
        mask: tokens that count; position 0 and padding are left out whatever it says.
        library: made by ``build_library`` for the same tokens.
        cache: shared by the targets of a run instead: the library is made once and kept there.
        seed: of the folds.

    Returns:
        Rivals of origin "full", "short", "tokens only", "categories only", equal ones once; where
        nothing is significant, one empty predicate.
    """
    library = library or _shared_library(
        tokens, length, document, mask, lexicon, seed, {} if cache is None else cache
    )
    values = np.asarray(signal, dtype=np.float64)[library.keep]
    found: dict[Predicate, ScoredFormula] = {}
    for origin, state in _rivals(library, values, limits or FormulaLimits()).items():
        candidate = _graded(state, values, origin)
        found.setdefault(candidate.predicate, candidate)
    return sorted(found.values(), key=lambda c: -c.r_explore_cv)


def build_candidates(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    document: Int[np.ndarray, "contexts"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
    seed: int = 0,
) -> CandidateMatrix:
    """What all targets of one explore split share; a few seconds of CPU, once a run."""
    keep = np.array(mask, dtype=bool)
    keep[:, 0] = False
    return CandidateMatrix(TextView(tokens, length, lexicon), document, keep, seed)


def _shared_library(
    tokens: np.ndarray,
    length: np.ndarray,
    document: np.ndarray,
    mask: np.ndarray,
    lexicon: Lexicon,
    seed: int,
    cache: dict[str, Any],
) -> CandidateMatrix:
    key = f"dissection library {crc32(tokens.tobytes())} {crc32(mask.tobytes())} {seed}"
    with cache.setdefault(
        "dissection lock", Lock()
    ):  # targets run side by side; one of them builds
        if key not in cache:
            cache[key] = build_candidates(tokens, length, document, mask, lexicon, seed)
        return cache[key]


def _rivals(
    library: CandidateMatrix, values: np.ndarray, limits: FormulaLimits
) -> dict[str, GreedyState]:
    """The state that each search ends in; the full one comes first and keeps its name where two agree."""
    full = GreedySearch(library, values, limits)
    path = full.path()
    best = path[-1]
    for _ in range(limits.cycles):
        best = full.swapped(best)
    cheap = replace(limits, cycles=0, tries=1)
    tokens = GreedySearch(
        library, values, replace(cheap, concepts=min(TOKENS, limits.concepts)), is_token
    ).path()
    categories = GreedySearch(library, values, cheap, is_category).path()
    short = path[min(SHORT, len(path) - 1)]
    return {
        "full": best,
        "short": short,
        "tokens only": tokens[-1],
        "categories only": categories[-1],
    }


def _graded(state: GreedyState, values: np.ndarray, origin: str) -> ScoredFormula:
    total = float(state.moments.squares.sum())
    r = np.sqrt(max(0.0, 1 - state.error / total)) if total else 0.0
    return ScoredFormula(
        graded_predicate(state.chosen, state.moments, float(values.mean())), float(r), origin
    )
