"""Floors: what predictions that explain nothing, or only the token, score on the same text.

All are fitted on explore alone, without position 0, and scored exactly as the explanation is:

- *chance*: a constant prediction; 0 for a correlation.
- *shuffled*: the explanation's own predictions with whole contexts permuted, mean r over 200 draws.
  The remaining r comes from the position within a context.
- *other*: the explanation of another unit of the same layer.
- *token_lookup*: the mean activation of each token on explore, shrunk by one pseudo-count to the
  mean of all. It knows thousands of numbers and no context: the ceiling for explanations without
  context, not a competitor.
- *trivial*: the best, on the scored text, of a constant (r = 0), the mean activation at this
  *position*, and the mean activation of tokens of this *frequency* (explore counts in powers of
  two; unseen tokens count as seen once). Choosing the best with hindsight favours the floor. It is
  never below 0.
- *list*: the 24 tokens that explain most of explore, with ridge weights
  (`tools.dissection.baselines`). It names no concept: an explanation that is no better than this is
  a list, whatever it says.
- *rotated*: the mean score of the same explainer on rotated directions of the layer, or on random
  latents of the dictionary; a run measures it (`agent.controls.rotated`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from ..tools.dissection import fit_token_list
from ..tools.subject.address import Site, Unit
from .score import Floors
from .statistics.correlation import pearson
from .statistics.permutation import permuted_r
from .statistics.sample import Sample

SHUFFLES = 200

Prediction = Float[np.ndarray, "contexts seq"]


class ExploreSignal(NamedTuple):
    """The target's true signal at every token of explore."""

    tokens: Int[np.ndarray, "contexts seq"]
    signal: Float[np.ndarray, "contexts seq"]
    mask: Bool[np.ndarray, "contexts seq"]


@dataclass(frozen=True, eq=False)
class FloorPredictions:
    """Predictions of the floors on the contexts that an explanation is scored on."""

    token_lookup: Prediction | None = None
    trivial: Mapping[str, Prediction] = field(default_factory=dict)
    """By name: ``frequency``, ``position``. The constant needs no array."""
    other: Prediction | None = None
    token_list: Prediction | None = None

    def take(self, contexts: Int[np.ndarray, " chosen"]) -> Self:
        """The same on only these contexts."""

        def taken(predicted: Prediction | None) -> Prediction | None:
            return None if predicted is None else predicted[contexts]

        return replace(
            self,
            token_lookup=taken(self.token_lookup),
            trivial={name: prediction[contexts] for name, prediction in self.trivial.items()},
            other=taken(self.other),
            token_list=taken(self.token_list),
        )


class TrivialPrediction(NamedTuple):
    """The best trivial prediction on a text."""

    name: str
    predicted: Prediction
    r: float


def fit_floor_predictions(
    explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"], other: Prediction | None = None
) -> FloorPredictions:
    """Fit token lookup, list, frequency and position on explore; predict them on ``tokens``.

    Args:
        tokens: the contexts that the explanation will be scored on.
        other: what another unit's explanation predicts on them.
    """
    trivial = {"frequency": by_frequency(explore, tokens), "position": by_position(explore, tokens)}
    return FloorPredictions(by_token(explore, tokens), trivial, other, by_list(explore, tokens))


class OtherTargets:
    """Draws the target whose explanation gives the floor *other*: a random one of the same layer.

    The run's verdicts and `hubel eval` both draw with this, so they report the same floor.

    Args:
        targets: all targets of the run; a target's place among them seeds its draw.
        explained: the targets that have a predicate, in the same order.
    """

    def __init__(self, targets: Iterable[str], explained: Iterable[str], seed: int) -> None:
        self._seed = seed
        self._number: dict[str, int] = {}
        for number, target in enumerate(targets):
            self._number.setdefault(target, number)
        self._explained: dict[Site, list[str]] = {}
        for target in explained:
            self._explained.setdefault(Unit.parse(target).place, []).append(target)

    def draw(self, target: str) -> str | None:
        """The other target; None if the layer has no other with a predicate."""
        rivals = self._explained.get(Unit.parse(target).place, [])
        rivals = [name for name in rivals if name != target]
        if not rivals:
            return None
        rng = np.random.default_rng([self._seed, self._number[target]])
        return rivals[int(rng.integers(len(rivals)))]


def by_token(explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"]) -> Prediction:
    """Mean activation by token."""
    return _mean_by_key(explore, explore.tokens, tokens)


def by_list(explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"]) -> Prediction:
    """What the 24 best tokens predict."""
    return fit_token_list(*explore).predict(tokens)


def by_frequency(explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"]) -> Prediction:
    """Mean activation by how often explore has the token, in powers of two."""
    counts = _token_counts(explore, tokens)
    # unseen tokens count as seen once
    octave = np.log2(np.maximum(counts, 1)).astype(np.int64)
    return _mean_by_key(explore, octave[explore.tokens], octave[tokens])


def count_on_explore(
    explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"]
) -> Int[np.ndarray, "contexts seq"]:
    """How often explore has each of these tokens where it counts."""
    return _token_counts(explore, tokens)[tokens]


def _token_counts(
    explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"]
) -> Int[np.ndarray, " vocabulary"]:
    size = int(max(tokens.max(), explore.tokens.max())) + 1
    return np.bincount(explore.tokens[explore.mask], minlength=size)


def by_position(explore: ExploreSignal, tokens: Int[np.ndarray, "contexts seq"]) -> Prediction:
    """Mean activation by position in the context."""
    positions = np.arange(tokens.shape[1])
    return _mean_by_key(
        explore,
        np.broadcast_to(positions, explore.tokens.shape),
        np.broadcast_to(positions, tokens.shape),
    )


def best_trivial(sample: Sample, floors: FloorPredictions) -> TrivialPrediction:
    """The best of a constant and the trivial predictions on this text; of a tie, the first."""
    best = TrivialPrediction("constant", np.zeros_like(sample.true), 0.0)
    for name, predicted in floors.trivial.items():
        r = pearson(sample.with_prediction(predicted))
        if r > best.r:
            best = TrivialPrediction(name, predicted, r)
    return best


def shuffled(sample: Sample, seed: int = 0) -> float:
    """Mean r of the sample's own predictions with whole contexts permuted."""
    return float(permuted_r(sample, seed, SHUFFLES).mean())


def correlation_floors(sample: Sample, floors: FloorPredictions, seed: int = 0) -> Floors:
    """All floors of a correlation. A floor without a prediction is null; chance is 0."""
    return replace(
        restricted_floors(sample, floors),
        shuffled=shuffled(sample, seed),
        other=_r(sample, floors.other),
    )


def restricted_floors(sample: Sample, floors: FloorPredictions) -> Floors:
    """Those that need no draws and no other unit, also on a part of the tokens."""
    return Floors(
        chance=0.0,
        token_lookup=_r(sample, floors.token_lookup),
        trivial=best_trivial(sample, floors).r if floors.trivial else None,
        list=_r(sample, floors.token_list),
    )


def _r(sample: Sample, predicted: Prediction | None) -> float | None:
    return None if predicted is None else pearson(sample.with_prediction(predicted))


def _mean_by_key(
    explore: ExploreSignal,
    explore_keys: Int[np.ndarray, "contexts seq"],
    keys: Int[np.ndarray, "other_contexts seq"],
) -> Prediction:
    """Mean signal by key with one pseudo-count at the overall mean, which an unseen key gets.

    Args:
        explore_keys: key of each token of explore.
        keys: key of each token to predict.
    """
    known_keys = explore_keys[explore.mask]
    signal = explore.signal[explore.mask].astype(np.float64)
    overall = signal.mean() if len(signal) else 0.0
    size = int(max(explore_keys.max(initial=0), keys.max(initial=0))) + 1
    sums, counts = np.bincount(known_keys, signal, size), np.bincount(known_keys, minlength=size)
    return ((sums + overall) / (counts + 1))[keys]
