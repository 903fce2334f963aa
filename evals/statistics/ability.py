"""Can a subject do a task at all? Before a circuit of something that it cannot do is looked for.

- accuracy: share of prompts whose answer has the larger logit than its foil (means, where there are
  several).
- top: share of prompts on which an answer is the likeliest next token of all.
- a circuit is worth looking for when the accuracy's interval stays above chance by a margin, and
  when the corrupted twin takes most of the logit difference away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .faithfulness import RESAMPLES, PromptInterval
from .fdr import Rate, wilson

LEAST_ACCURACY = 0.7
"""Lower end of the accuracy's interval; chance is 0.5."""


class Ability(NamedTuple):
    """How well a subject does a task, with 95 % intervals over prompts; `why` says what is missing when it cannot."""

    n: int
    accuracy: Rate
    top: float
    clean: PromptInterval
    corrupted: PromptInterval
    can: bool
    why: str


def measure_ability(
    clean: Float[np.ndarray, " prompts"],
    corrupted: Float[np.ndarray, " prompts"],
    top: Bool[np.ndarray, " prompts"],
) -> Ability:
    """From the logit differences of each prompt and its twin, and whether an answer came out on top."""
    accuracy = wilson(int((clean > 0).sum()), len(clean))
    intervals = mean_over_prompts(clean), mean_over_prompts(corrupted)
    drop = mean_over_prompts(clean - corrupted)
    why = ""
    if accuracy.low < LEAST_ACCURACY:
        why = f"accuracy may be as low as {accuracy.low:.2f}, and {LEAST_ACCURACY} is asked for"
    elif intervals[0].low <= 0:
        why = f"the logit difference may be as low as {intervals[0].low:.2f}"
    elif drop.low <= 0:
        why = "the corrupted twin takes nothing away"
    return Ability(len(clean), accuracy, float(np.mean(top)), *intervals, not why, why)


def mean_over_prompts(values: Float[np.ndarray, " prompts"], seed: int = 0) -> PromptInterval:
    """A mean with its 95 % percentile interval over prompts."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values, dtype=float)[draws].mean(1), [0.025, 0.975])
    return PromptInterval(float(np.mean(values)), float(low), float(high))
