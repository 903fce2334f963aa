"""The compositional search: which formula of at most 12 concepts predicts a unit best?

1. Greedy: add the concept with the largest cross-validated drop in squared error (``gain``), refit all weights.
2. Stop when no concept's gain is significant: a unit that follows one token gets one concept.
3. Swap: take each concept out in turn; where another one does better in its place, exchange them.
4. Round the weights to four grades with one step (``fit.grade``), so that the sentence says all that the formula knows.
5. Do so with several libraries (all concepts, fewer terms, only tokens, only categories): competing hypotheses.

Network dissection (Bau et al. 2017, arXiv 1704.05796) asks which concept overlaps most with a unit's activations;
compositional explanations (Mu & Andreas 2020, arXiv 2006.14032) search formulas of concepts; Neuron-to-Graph (Foote
et al. 2023, arXiv 2305.19911) does so for tokens and their context. Here the formula is a weighted sum, since a gated
MLP neuron is graded and has two sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from zlib import crc32

import numpy as np

from .concepts import Concept
from .concepts.words import Words
from .fit import Moments, graded_terms
from .gain import crossed, evidence
from .lexicon import Lexicon
from .library import FOLDS, Library
from .lists import grow
from .predicate import MOST_CONCEPTS, MOST_LITERALS, MOST_WORDS, Predicate
from .sentence import length
from .text import Text

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


C = TypeVar("C", bound=Concept)
PROSE = 10  # words of a sentence around its concepts: two verbs with their joints, and six grades


@dataclass(frozen=True)
class Limits:
    """How large a formula may get; the defaults are the contract's."""

    concepts: int = MOST_CONCEPTS
    literals: int = MOST_LITERALS
    words: int = MOST_WORDS
    listed: int = 4  # words in one list
    cycles: int = 1  # passes of swapping; each costs about as much as the greedy pass
    significance: float = 25.0  # squared z below which a gain is taken for noise (20,000 candidates are tried)


class Candidate(NamedTuple):
    """A hypothesis: its formula, its cross-validated correlation on explore, and which search made it."""

    predicate: Predicate
    r_explore_cv: float
    origin: str


class Offer(NamedTuple):
    """A concept with its cross-validated gain."""

    gain: float
    concept: Concept


def explain(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    document: Int[np.ndarray, "contexts"],
    signal: Float[np.ndarray, "contexts seq"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
    library: Library | None = None,
    seed: int = 0,
    limits: Limits | None = None,
    cache: dict[str, Any] | None = None,
) -> list[Candidate]:
    """Competing formulas for one signal on the explore split, best cross-validated correlation first.

    Args:
        signal: activation of every token, already of the side that is to be explained.
        mask: tokens that count; position 0 and padding are left out whatever it says.
        library: made by ``build_library`` for the same tokens.
        cache: shared by the targets of a run instead: the library is made once and kept there.
        seed: of the folds.
    """
    library = library or _shared_library(tokens, length, document, mask, lexicon, seed, {} if cache is None else cache)
    values = np.asarray(signal, dtype=np.float64)[library.keep]
    search = Search(library, values, limits or Limits())
    found = [search.run("formula")]
    return sorted(found, key=lambda c: -c.r_explore_cv)


def build_library(
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, "contexts"],
    document: Int[np.ndarray, "contexts"],
    mask: Bool[np.ndarray, "contexts seq"],
    lexicon: Lexicon,
    seed: int = 0,
) -> Library:
    """What all targets of one explore split share; a few seconds of CPU, once a run."""
    keep = np.array(mask, dtype=bool)
    keep[:, 0] = False
    return Library(Text(tokens, length, lexicon), document, keep, seed)


def _shared_library(
    tokens: np.ndarray,
    length: np.ndarray,
    document: np.ndarray,
    mask: np.ndarray,
    lexicon: Lexicon,
    seed: int,
    cache: dict[str, Any],
) -> Library:
    key = f"dissection library {crc32(tokens.tobytes())} {crc32(mask.tobytes())} {seed}"
    with cache.setdefault("dissection lock", Lock()):  # targets run side by side; one of them builds
        if key not in cache:
            cache[key] = build_library(tokens, length, document, mask, lexicon, seed)
        return cache[key]


class Search:
    """One greedy search with swaps over a library."""

    def __init__(self, library: Library, values: np.ndarray, limits: Limits) -> None:
        self.library = library
        self.limits = limits
        self.values = values - values.mean()
        self.mean = float(values.mean())
        self.total = float(self.values @ self.values)

    def run(self, origin: str) -> Candidate:
        """Greedy, then swaps, then grades."""
        moments, chosen = Moments(self.values, self.library.fold, FOLDS), []
        while len(chosen) < self.limits.concepts:
            offer = self._best(moments.residual(), chosen)
            if offer is None:
                break
            chosen.append(offer.concept)
            moments = moments.added(self.library.column(offer.concept))
        for _ in range(self.limits.cycles):
            moments, chosen = self._swapped(moments, chosen)
        return self._graded(moments, chosen, origin)

    def _swapped(self, moments: Moments, chosen: list[Concept]) -> tuple[Moments, list[Concept]]:
        error = moments.error()
        for _ in range(len(chosen)):  # the oldest goes first; what replaces it goes to the end
            without, others = moments.removed(0), chosen[1:]
            offer = self._best(without.residual(), others)
            trial = moments if offer is None else without.added(self.library.column(offer.concept))
            better = offer is not None and trial.error() < error * (1 - 1e-4)
            concept = offer.concept if offer is not None and better else chosen[0]
            moments = trial if better else without.added(moments.columns[1])
            chosen, error = [*others, concept], min(error, trial.error()) if better else error
        return moments, chosen

    def _best(self, residual: np.ndarray, chosen: Sequence[Concept]) -> Offer | None:
        """The best significant concept that still fits within the limits."""
        noise = float(residual @ residual) / len(residual)
        offers = sorted(self._offers(residual, noise * self.limits.significance), key=lambda o: -o.gain)
        return next((o for o in offers if o.gain > 0 and self._fits(o.concept, chosen)), None)

    def _fits(self, concept: Concept, chosen: Sequence[Concept]) -> bool:
        every = [*chosen, concept]
        return (
            concept not in chosen
            and sum(c.atoms() for c in every) <= self.limits.concepts
            and sum(len(c.literals()) for c in every) <= self.limits.literals
            and sum(length(c.phrase()) for c in every)
            <= self.limits.words - PROSE
        )

    def _offers(self, residual: np.ndarray, least: float) -> list[Offer]:
        library, offers = self.library, []
        for channel in library.channels:
            sums = channel.sums(residual)
            offers += _top(library.classes, library.members @ sums, channel.class_counts, least, channel.concept)
            by_word = channel.by_word(sums)
            for grown in grow(library, channel, by_word, self.limits.listed):
                listed = Words(*(library.words[w] for w in grown.words))
                offers.append(Offer(grown.gain, channel.concept(listed)))
        sums = np.stack([library.elsewhere @ (residual * (library.fold == f)) for f in range(FOLDS)], axis=1)
        return offers + _top(library.others, sums, library.elsewhere_counts, least, lambda c: c)

    def _graded(self, moments: Moments, chosen: list[Concept], origin: str) -> Candidate:
        r = np.sqrt(max(0.0, 1 - moments.error() / self.total)) if self.total else 0.0
        return Candidate(graded_terms(chosen, moments, self.mean), float(r), origin)


def _top(
    concepts: Sequence[C],
    sums: np.ndarray,
    counts: np.ndarray,
    least: float,
    read: Callable[[C], Concept],
    most: int = 20,
) -> list[Offer]:
    gains = np.where(evidence(sums, counts) >= least, crossed(sums, counts), 0.0)
    best = np.argsort(-gains, kind="stable")[:most]
    return [Offer(float(gains[i]), read(concepts[i])) for i in best if gains[i] > 0]
