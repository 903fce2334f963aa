"""Can a subject do a task at all? Checked before anyone looks for the circuit.

- accuracy: share of prompts whose answer has a larger logit than its foil (means, if there are
  several).
- top: share of prompts on which an answer is the likeliest next token.
- a circuit is worth looking for if the accuracy's interval stays above chance by a margin, and if
  corrupting the prompt reduces the logit difference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .faithfulness import RESAMPLES, PromptInterval
from .fdr import Rate, wilson

MIN_ACCURACY = 0.7
"""For the lower end of the accuracy's interval; chance is 0.5."""


class Ability(NamedTuple):
    """How well a subject does a task, over prompts; `why` is the reason if it cannot."""

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
    """The ability, from logit differences.

    Args:
        clean: of each prompt.
        corrupted: of each prompt's corrupted twin.
        top: whether an answer was the likeliest token.
    """
    accuracy = wilson(int((clean > 0).sum()), len(clean))
    clean_mean, corrupted_mean = mean_over_prompts(clean), mean_over_prompts(corrupted)
    drop = mean_over_prompts(clean - corrupted)
    why = ""
    if accuracy.low < MIN_ACCURACY:
        why = f"accuracy may be as low as {accuracy.low:.2f}, and {MIN_ACCURACY} is asked for"
    elif clean_mean.low <= 0:
        why = f"the logit difference may be as low as {clean_mean.low:.2f}"
    elif drop.low <= 0:
        why = "the corrupted twin takes nothing away"
    return Ability(
        len(clean), accuracy, float(np.mean(top)), clean_mean, corrupted_mean, not why, why
    )


def mean_over_prompts(values: Float[np.ndarray, " prompts"], seed: int = 0) -> PromptInterval:
    """A mean with its 95 % percentile interval over prompts."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values, dtype=float)[draws].mean(1), [0.025, 0.975])
    return PromptInterval(float(np.mean(values)), float(low), float(high))
