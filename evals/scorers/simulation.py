"""Simulation: Pearson r of predicted and true activations at every token.

Bills, Cammarata, Mossing et al. 2023, "Language models can explain neurons in language models" (the
simulated and the true activations of all scored tokens are concatenated; the score is their Pearson
r). Two texts:

- *random*: every token of the split but position 0. Verdicts rest on this score.
- *top_and_random*: their mix, half and half: the 5 contexts with the largest activation (largest
  absolute value, for a target with both sides) and as many drawn at random, without replacement,
  from the rest of the split. As in the paper, one r over the tokens of all of them. They took 5 of
  the top 20 of 60,000 contexts for scoring; the top 5 of a holdout that is 30 % of the text are
  about as extreme. It flatters: a few strong tokens decide, and an explanation need only know
  those. A split with fewer than 10 contexts gives half of them to each.

Intervals are over documents (`bootstrap`); floors are in `floors`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ..floors import best_trivial, correlation_floors
from ..score import Score, Text
from ..statistics.bootstrap import Interval, bootstrap_difference, bootstrap_r
from ..statistics.permutation import permutation_test
from ..statistics.sample import Sample
from .registry import ScoringTask, scorer

TOP = 5
"""Top-activating contexts in the mix, and as many random ones."""


@scorer("simulation")
def simulation(task: ScoringTask) -> list[Score]:
    """r on random text and on the top-and-random mix."""
    task.require_prediction()
    return [score_simulation(task, "random"), score_simulation(task, "top_and_random")]


def score_simulation(task: ScoringTask, text: Text = "random") -> Score:
    """Pearson r of predicted and true signal with its interval and floors."""
    sample, predictions = task.sample, task.floor_predictions
    if text == "top_and_random":
        chosen = top_and_random(sample, seed=task.seed)
        sample, predictions = sample.take(chosen), predictions.take(chosen)
    r = bootstrap_r(sample, task.seed)
    return Score(
        "simulation", task.split, text, *r, correlation_floors(sample, predictions, task.seed)
    )


def top_and_random(sample: Sample, count: int = TOP, seed: int = 0) -> Int[np.ndarray, " chosen"]:
    """The ``count`` contexts with the strongest activation, then as many random others."""
    usable = np.flatnonzero(sample.mask.any(axis=1))
    count = max(1, min(count, len(usable) // 2))
    strength = np.abs(sample.true[usable]).max(axis=1)  # true is 0 where no token counts
    order = usable[np.argsort(-strength, kind="stable")]
    rest = np.sort(order[count:])
    drawn = np.random.default_rng(seed).choice(len(rest), min(count, len(rest)), replace=False)
    return np.concatenate([order[:count], np.sort(rest[drawn])])


@dataclass(frozen=True)
class Evidence:
    """What a verdict needs besides the score on random text; see `verdict`."""

    p: float
    """One-sided, against whole documents permuted."""
    fitted: bool
    """Whether p is from the fitted tail, because no draw reached the observed r."""
    trivial: str
    """Which trivial prediction was the best: ``constant``, ``frequency`` or ``position``."""
    over_trivial: Interval
    """r minus the trivial prediction's r, resampled together."""
    active_documents: int
    """Documents of the split with an active token."""
    over_list: Interval | None = None
    """r minus the r of the floor *list*, resampled together."""
    meaning_over_list: Interval | None = None
    """The same for the formula's named concepts alone."""


def evidence_for_verdict(task: ScoringTask) -> Evidence:
    """p, the paired differences to *trivial* and *list*, and how many documents are active."""
    sample, floors = task.sample, task.floor_predictions
    test = permutation_test(sample, task.seed)
    trivial = best_trivial(sample, floors)
    over_list = meaning_over_list = None
    if floors.token_list is not None:
        over_list = bootstrap_difference(sample, floors.token_list, task.seed)
        if task.parts is not None:
            meaning = sample.with_prediction(task.parts.meaning)
            meaning_over_list = bootstrap_difference(meaning, floors.token_list, task.seed)
    return Evidence(
        test.p,
        test.fitted,
        trivial.name,
        bootstrap_difference(sample, trivial.predicted, task.seed),
        sample.active_documents(task.activity),
        over_list,
        meaning_over_list,
    )
