"""r and AUROC of all units of a site with a target signal, from few of the tokens.

1. Pearson r needs the sum of x·y only where y is not 0, as the index has n, mean and standard
   deviation of every unit over explore: r = (Σxy - n x̄ ȳ) / (n σx σy).
2. AUROC compares the tokens where y > 0, one by one, with a sample of the others: the share of pairs
   in which the former is larger, ties counted half. Both are sorted, so a pair costs nothing.
3. How large |r| gets by chance: the same y on random tokens of the sample, `DRAWS` times, and each
   time the largest of all units. Heavy tails count: one token can be a unit's whole variance.
4. `exact_comparison` has a unit's activations at all tokens and samples nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...index import SiteStatistics

DRAWS = 20
TYPES = 24
"""The most frequent tokens of the target for which a unit's mean is kept."""


class Signal(NamedTuple):
    """The target signal at the tokens that are read, of all that are not 0.

    Attributes:
        values: at the tokens read, none of them 0.
        types: for each its token's place among the `n_types` most frequent ones; -1 for others.
        scale: all of the signal over what is read, 1 if all is read.
        n, mean, std: over all tokens of explore.
    """

    values: Float[np.ndarray, " read"]
    types: Int[np.ndarray, " read"]
    n_types: int
    scale: float
    n: int
    mean: float
    std: float


class Comparison(NamedTuple):
    """All units of a site.

    Attributes:
        r, auroc: with the raw activation, so that 1 and 0.5 + 0.5 are for the positive side.
        at_matches: mean where the signal is above 0.
        by_type: mean at each of the most frequent tokens there.
    """

    r: Float[np.ndarray, " unit"]
    auroc: Float[np.ndarray, " unit"]
    at_matches: Float[np.ndarray, " unit"]
    by_type: Float[np.ndarray, "type unit"]

    def of(self, columns: Int[np.ndarray, " chosen"]) -> Comparison:
        """Some of the units."""
        return Comparison(*(values[..., columns] for values in self))


class SiteTally:
    """Collects what a `Comparison` needs of one site: all others first, then the signal's tokens."""

    def __init__(self, usual: SiteStatistics, signal: Signal, n_others: int) -> None:
        n_units = len(usual.mean)
        self._usual, self._signal = usual, signal
        self._others = np.empty((n_others, n_units), np.float32)
        self._sorted: Float[np.ndarray, "unit other"] | None = None
        self._products, self._matches, self._before = (np.zeros(n_units) for _ in range(3))
        self._by_type = np.zeros((signal.n_types, n_units))

    def add_others(
        self, which: Int[np.ndarray, " token"], values: Float[np.ndarray, "token unit"]
    ) -> None:
        """Activations at some of the tokens that the signal's are compared with."""
        self._others[which] = values

    def largest_by_chance(
        self, draws: Float[np.ndarray, "draw other"], std: Float[np.ndarray, " draw"]
    ) -> Float[np.ndarray, " draw"]:
        """The largest |r| of a unit of this site with each drawn signal, of known deviation."""
        import torch

        # numpy's product of so few rows takes five times as long.
        sums = (torch.from_numpy(draws) @ torch.from_numpy(self._others)).numpy()
        r = self._r(sums, draws.sum(axis=1)[:, None] / self._signal.n, std[:, None])
        return np.abs(r).max(axis=1, initial=0)

    def add(
        self, which: Int[np.ndarray, " token"], values: Float[np.ndarray, "token unit"]
    ) -> None:
        """Activations at some of the signal's tokens."""
        if self._sorted is None:
            self._sorted = np.sort(np.ascontiguousarray(self._others.T), axis=1)
            self._others = self._others[:0]
        y, types = self._signal.values[which], self._signal.types[which]
        self._products += y @ values
        above = y > 0
        matches = values[above]
        self._matches += matches.sum(axis=0, dtype=np.float64)
        self._before += _pairs_won(matches, self._sorted)
        for number in np.unique(types[above]).tolist():
            if number >= 0:
                self._by_type[number] += values[types == number].sum(axis=0)

    def comparison(self) -> Comparison:
        """What was collected."""
        signal = self._signal
        assert self._sorted is not None  # a target has a token
        n_matches = int((signal.values > 0).sum())
        counts = np.bincount(signal.types[signal.types >= 0], minlength=signal.n_types)
        pairs = n_matches * self._sorted.shape[1]
        return Comparison(
            self._r(self._products * signal.scale, signal.mean, signal.std),
            self._before / pairs if pairs else np.full_like(self._before, 0.5),
            self._matches / n_matches,
            self._by_type / counts[:, None],
        )

    def _r(
        self,
        sums: Float[np.ndarray, "*draw unit"],
        mean: float | np.ndarray,
        std: float | np.ndarray,
    ) -> Float[np.ndarray, "*draw unit"]:
        usual, n = self._usual, self._signal.n
        spread = np.where(usual.std > 0, usual.std, np.inf).astype(np.float64)
        r = (sums / n - usual.mean.astype(np.float64) * mean) / (spread * std)
        return np.clip(np.where(np.isfinite(r), r, 0), -1, 1)


def drawn_signals(
    signal: Signal, n_others: int, seed: int = 0
) -> tuple[Float[np.ndarray, "draw other"], Float[np.ndarray, " draw"]]:
    """The signal's values on random other tokens, at most half of them, and the deviation of each."""
    rng = np.random.default_rng(seed)
    n = min(len(signal.values), n_others // 2)
    draws = np.zeros((DRAWS, n_others), np.float32)
    for row in draws:
        row[rng.choice(n_others, n, replace=False)] = rng.choice(signal.values, n, replace=False)
    mean = draws.sum(axis=1, dtype=np.float64) / signal.n
    squares = (draws.astype(np.float64) ** 2).sum(axis=1) / signal.n
    return draws, np.sqrt(squares - mean**2)


def auroc_by_chance(n_matches: int, n_others: int, compared: int) -> float:
    """About the largest AUROC of that many unrelated units, on the better of two sides."""
    if not n_matches or not n_others:
        return 1.0
    spread = np.sqrt((n_matches + n_others + 1) / (12 * n_matches * n_others))
    return min(1.0, 0.5 + float(np.sqrt(2 * np.log(2 * max(compared, 2))) * spread))


def exact_comparison(
    values: Float[np.ndarray, "token unit"], signal: Float[np.ndarray, " token"]
) -> Comparison:
    """r and AUROC of units over all tokens; `by_type` is left empty."""
    x = values.astype(np.float64)
    x -= x.mean(axis=0)
    y = signal - signal.mean(dtype=np.float64)
    norm = np.sqrt((x**2).sum(axis=0) * (y**2).sum())
    r = np.divide(y @ x, norm, out=np.zeros(x.shape[1]), where=norm > 0)
    above = signal > 0
    pairs = int(above.sum()) * int((~above).sum())
    others = np.sort(np.ascontiguousarray(values[~above].T), axis=1)
    auroc = _pairs_won(values[above], others) / pairs if pairs else np.full_like(r, 0.5)
    at_matches = values[above].mean(axis=0, dtype=np.float64)
    return Comparison(r, auroc, at_matches, np.zeros((0, len(r))))


def _pairs_won(
    matches: Float[np.ndarray, "token unit"], others: Float[np.ndarray, "unit other"]
) -> Float[np.ndarray, " unit"]:
    """For each unit the pairs in which a match is above an other token, ties counted half."""
    import torch

    ordered = torch.from_numpy(others)
    keys = torch.from_numpy(np.sort(np.ascontiguousarray(matches.T), axis=1))
    below = torch.searchsorted(ordered, keys, out_int32=True)
    at_most = torch.searchsorted(ordered, keys, right=True, out_int32=True)
    return ((below + at_most).sum(dim=1).double() / 2).numpy()
