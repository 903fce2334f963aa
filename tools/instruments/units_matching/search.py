"""Compares all units of an index with a target.

1. Screen: of all units, r and AUROC from the target's tokens (about `MOST_MATCHES` of them at most)
   and `OTHERS` random other tokens (`comparison`). They come from the activation store, or, in whole
   contexts drawn at random, from a pass.
2. The best `CANDIDATES` by either are computed at all tokens of explore where the store has their
   layer. Others keep the numbers of the screening, and say over how many tokens these are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .comparison import (
    TYPES,
    Comparison,
    Signal,
    SiteTally,
    auroc_by_chance,
    drawn_signals,
    exact_comparison,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ...index import Index
    from ...index.activation_store.tokens import TokenPlaces, TokenSource
    from ...subject.address import Site
    from .target import TokenTarget

MOST_MATCHES = OTHERS = 500
"""Tokens read of all units, each 0.1 GFLOP on the default subject; 500 of each take 2 CPU-seconds in
all. The standard error of an AUROC is then below 0.02, and the best are computed exactly."""
OTHERS_OF_A_PASS = 1000
"""Whole contexts are read then, whose tokens say less than as many single ones."""
CANDIDATES = 50
"""Units by r, and by AUROC, that are computed at all tokens; at least twice as many as are listed."""
MOST_EXACT = 1_000_000
"""Tokens of explore. With more, only the screening is done: a layer's vectors take over a gigabyte."""


@dataclass(frozen=True)
class MatchingUnit:
    """A unit and how well it follows the target.

    Attributes:
        unit: address. With the side -, r and AUROC are of the activation with its sign turned, so
            that 1 is perfect on either side; without a side they are of the raw activation.
        r: Pearson correlation with the target over explore.
        auroc: share of pairs of a match and another token in which the activation is further on
            that side at the match.
        matches, others: the matching and the other tokens that they are over.
        at_matches: mean raw activation at the matches; mean: over explore.
        tokens: mean raw activation at the most frequent matching tokens.
    """

    unit: str
    r: float
    auroc: float
    matches: int
    others: int
    at_matches: float
    mean: float
    tokens: dict[str, float]


class Ranking(NamedTuple):
    """The units that may be among the best, in no order and without a side, and what chance reaches."""

    units: list[MatchingUnit]
    compared: int
    chance_r: float
    chance_auroc: float
    beyond_chance: int


class _Screening(NamedTuple):
    """What is read of all units: the target's tokens, and others."""

    matches: TokenPlaces
    signal: Signal
    types: list[int]
    others: TokenPlaces


def compare_units(
    index: Index,
    source: TokenSource,
    target: TokenTarget,
    sites: Sequence[Site],
    strings: Sequence[str],
    k: int,
) -> Ranking:
    """Compare all units of some sites with a target.

    Args:
        strings: the vocabulary.
        k: how many are going to be listed.
    """
    screening = _choose_tokens(target, whole_contexts=bool(source.by_pass))
    tallies = {
        site: SiteTally(
            index.site_statistics(site), screening.signal, len(screening.others.context)
        )
        for site in sites
    }
    everything = dict.fromkeys(sites)
    source.read(
        screening.others, everything, lambda site, which, x: tallies[site].add_others(which, x)
    )
    compared = sum(index.shape.count(site) for site in sites)
    chance_r = _chance(screening, tallies, compared)
    source.read(screening.matches, everything, lambda site, which, x: tallies[site].add(which, x))
    comparisons = {site: tally.comparison() for site, tally in tallies.items()}
    candidates = _candidates(comparisons, max(CANDIDATES, 2 * k))
    exact = _compare_exactly(source, target, candidates)
    n_read = int((screening.signal.values > 0).sum())
    n_others = len(screening.others.context)
    n_matches = int((target.signal > 0).sum())
    units: list[MatchingUnit] = []
    for site, columns in candidates.items():
        if site in exact:
            numbers, n = exact[site], (n_matches, target.n - n_matches)
        else:
            numbers, n = comparisons[site].of(columns), (n_read, n_others)
        means = comparisons[site].by_type[:, columns].T.tolist()
        usual = index.site_statistics(site).mean[columns].tolist()
        rows = zip(
            columns.tolist(), *map(np.ndarray.tolist, numbers[:3]), usual, means, strict=True
        )
        units += [
            MatchingUnit(
                str(index.shape.unit(site, column)),
                r,
                auroc,
                *n,
                at_matches,
                mean,
                {strings[t]: value for t, value in zip(screening.types, by_type, strict=True)},
            )
            for column, r, auroc, at_matches, mean, by_type in rows
        ]
    beyond = sum(int((np.abs(c.r) > chance_r).sum()) for c in comparisons.values())
    chance_auroc = auroc_by_chance(n_read, n_others, compared)
    return Ranking(units, compared, chance_r, chance_auroc, beyond)


def _choose_tokens(target: TokenTarget, *, whole_contexts: bool) -> _Screening:
    """The target's tokens, or some of them if they are many, and others."""
    rng = np.random.default_rng(0)
    signal, contexts = target.signal, target.contexts
    is_other = contexts.mask & (signal <= 0)
    if whole_contexts:
        matches = _in_random_contexts(signal != 0, MOST_MATCHES, rng)
        others = _in_random_contexts(is_other, OTHERS_OF_A_PASS, rng)
    else:
        matches = _random_tokens(signal != 0, MOST_MATCHES, rng)
        others = _random_tokens(is_other, OTHERS, rng)
    values = signal[matches.context, matches.position]
    ids = contexts.tokens[matches.context, matches.position]
    types = [int(t) for t, _ in Counter(ids[values > 0].tolist()).most_common(TYPES)]
    place = {token: number for number, token in enumerate(types)}
    of_type = np.array([place.get(token, -1) for token in ids.tolist()])
    of_type[values <= 0] = -1
    scale = float(np.abs(signal).sum(dtype=np.float64) / np.abs(values).sum(dtype=np.float64))
    moments = target.moments
    read = Signal(values, of_type, len(types), scale, target.n, moments.mean, moments.std)
    return _Screening(matches, read, types, others)


def _random_tokens(
    tokens: Bool[np.ndarray, "context seq"], most: int, rng: np.random.Generator
) -> TokenPlaces:
    context, position = np.nonzero(tokens)
    kept = np.sort(rng.permutation(len(context))[:most])
    return _places(context[kept], position[kept])


def _in_random_contexts(
    tokens: Bool[np.ndarray, "context seq"], least: int, rng: np.random.Generator
) -> TokenPlaces:
    """The tokens of as many random contexts as it takes to have `least`."""
    order = rng.permutation(len(tokens))
    counts = tokens[order].sum(axis=1)
    chosen = np.zeros_like(tokens)
    chosen[order[np.cumsum(counts) - counts < least]] = True
    return _places(*np.nonzero(chosen & tokens))


def _places(context: Int[np.ndarray, " token"], position: Int[np.ndarray, " token"]) -> TokenPlaces:
    from ...index.activation_store.tokens import TokenPlaces

    return TokenPlaces(context, position)


def _chance(screening: _Screening, tallies: dict[Site, SiteTally], compared: int) -> float:
    """The largest |r| of all units with the target's values on random tokens, the mean of draws."""
    n_others = len(screening.others.context)
    if n_others < 2:
        return min(1.0, float(np.sqrt(2 * np.log(2 * compared) / screening.signal.n)))
    draws, std = drawn_signals(screening.signal, n_others)
    largest = [tally.largest_by_chance(draws, std) for tally in tallies.values()]
    return float(np.max(largest, axis=0).mean())


def _candidates(
    comparisons: dict[Site, Comparison], most: int
) -> dict[Site, Int[np.ndarray, " column"]]:
    """The columns of each site that are among the best of all sites by r or by AUROC."""
    sites = list(comparisons.items())
    by_r = np.concatenate([_strength(site, c.r) for site, c in sites])
    by_auroc = np.concatenate([_strength(site, c.auroc - 0.5) for site, c in sites])
    best = [np.argsort(-values, kind="stable")[:most] for values in (by_r, by_auroc)]
    places = np.unique(np.concatenate(best))
    bounds = np.cumsum([0, *(len(c.r) for _, c in sites)])
    of_sites = {
        site: places[(places >= start) & (places < stop)] - start
        for (site, _), (start, stop) in zip(sites, pairwise(bounds), strict=True)
    }
    return {site: columns for site, columns in of_sites.items() if len(columns)}


def _strength(site: Site, values: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
    """How far to the better side; a head has one."""
    return values if site.is_one_sided else np.abs(values)


def _compare_exactly(
    source: TokenSource, target: TokenTarget, candidates: dict[Site, Int[np.ndarray, " column"]]
) -> dict[Site, Comparison]:
    """The candidates at all tokens, where that needs no pass."""
    requests = {s: c.tolist() for s, c in candidates.items() if s not in source.by_pass}
    if target.n > MOST_EXACT:
        return {}
    tokens = _places(*np.nonzero(target.contexts.mask))
    signal = target.signal[target.contexts.mask]
    exact: dict[Site, Comparison] = {}
    for site, columns in requests.items():  # one at a time, so that memory holds one
        exact[site] = exact_comparison(_values(source, tokens, site, columns), signal)
    return exact


def _values(
    source: TokenSource, tokens: TokenPlaces, site: Site, columns: Sequence[int]
) -> Float[np.ndarray, "token unit"]:
    """Activations of some units of a site at tokens."""
    values = np.empty((len(tokens.context), len(columns)), np.float32)

    def keep(
        _: Site, which: Int[np.ndarray, " token"], part: Float[np.ndarray, "token unit"]
    ) -> None:
        values[which] = part

    source.read(tokens, {site: columns}, keep)
    return values
