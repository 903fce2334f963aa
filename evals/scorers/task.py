"""The input of a scorer, built from a run's collected activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from ..floors import ExploreSignal, Prediction, count_on_explore, fit_floor_predictions
from ..formula_parts import PartPredictions
from ..score import Split
from ..statistics.resampling import CURRENT, Resampling
from ..statistics.sample import ActivityLevel, Sample
from .registry import ScoringTask
from .windows import TokenText

if TYPE_CHECKING:
    from ...tools.index import Collected
    from ...tools.subject.address import Unit


def scoring_task(
    unit: Unit,
    split: Split,
    collected: Collected,
    explore: Collected,
    predicted: Prediction | None,
    *,
    parts: PartPredictions | None = None,
    other: Prediction | None = None,
    seed: int = 0,
    explanation: str = "",
    vocabulary: Sequence[str] | None = None,
    resampling: Resampling = CURRENT,
) -> ScoringTask:
    """One explanation of a unit on one split, with the floor predictions fitted on explore.

    Args:
        split: the name under which the scores are reported.
        collected: activations and tokens of that split.
        predicted: predicted activation at every token; None for an explanation in words only.
        parts: what the named concepts of the explanation's formula predict alone.
        other: what the explanation of another unit of the layer predicts there.
        explanation: the sentence that a judge reads.
        vocabulary: text of each token by id; without it, scorers that show text cannot run.
        resampling: how the run makes its intervals.
    """
    tokens = collected.tokens
    explore_signal = ExploreSignal(explore.tokens, explore.signal(unit), explore.mask)
    return ScoringTask(
        collected_sample(unit, collected, predicted, resampling),
        split,
        fit_floor_predictions(explore_signal, tokens, other),
        seed,
        explanation=explanation,
        token_text=None if vocabulary is None else TokenText(tokens, collected.length, vocabulary),
        predicts=predicted is not None,
        parts=parts,
        seen=count_on_explore(explore_signal, tokens),
        activity=ActivityLevel.of(explore_signal.signal[explore.mask])
        if explore.mask.any()
        else None,
    )


def keep_contexts(task: ScoringTask, contexts: Int[np.ndarray, " chosen"]) -> ScoringTask:
    """The task on some of its contexts, with everything that it has of them."""
    return replace(
        task,
        sample=task.sample.take(contexts),
        floor_predictions=task.floor_predictions.take(contexts),
        token_text=None if task.token_text is None else task.token_text.take(contexts),
        parts=None if task.parts is None else task.parts.take(contexts),
        seen=None if task.seen is None else task.seen[contexts],
    )


def collected_sample(
    unit: Unit,
    collected: Collected,
    predicted: Prediction | None,
    resampling: Resampling = CURRENT,
) -> Sample:
    """A prediction with the unit's true signal; None gives zeros, which are never read."""
    signal = collected.signal(unit)
    if predicted is None:
        predicted = np.zeros_like(signal)
    mask, document, group = collected.mask, collected.document, collected.group
    return Sample(predicted, signal, mask, document, group, resampling)
