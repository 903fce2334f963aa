"""Intervention: does the explanation say what the unit does to the next token?

Gur-Arieh et al. 2025, "Enhancing automated interpretability with output-centric feature
descriptions" (arXiv 2501.08319), the output-based test; Huang et al. 2023 (arXiv 2309.10312) on why
predicting activations is not enough.

1. A trial is three positions where the unit is active. There the unit is ablated, and steered to
   its own strength, and so are two decoys, other units of the layer (`resources.effects`); a latent's
   are other latents of its dictionary, so that the same strength is written by other rows. The
   tokens whose log-probability rises and falls most are the unit's effect on the output.
2. The judge sees the three lists of promoted tokens and picks the one that fits the explanation.
   The predicate picks the list on which it predicts most, promoted minus suppressed tokens: its
   claim read as "writes what it fires on".
3. Score: accuracy over 12 trials, chance 1/3 (`judge.puzzles` deals the positions of the answers).

A low score does not make an explanation of the input side wrong: many units fire on one thing and
write another. It means that the explanation must not be read as one of the unit's effect.

Needs `resources.effects`, the subject. Cost with a judge: 3 calls, about 150 prompt tokens per
trial; 216 short rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..judge.protocol import Unscorable
from ..judge.puzzles import answer_positions, ask_puzzles, puzzle_text, solved_by_grade
from ..score import Floors, Score
from .classification import accuracy
from .decisions import mixed_text_score
from .registry import ScoringTask, scorer
from .resources import TokenEffect, unscorable_without
from .windows import Windows, by_quantile, cut_windows

TRIALS, PLACES, OPTIONS = 12, 3, 3


class _Trial(NamedTuple):
    """Where a trial measures."""

    contexts: Int[np.ndarray, " places"]
    positions: Int[np.ndarray, " places"]


@scorer("intervention")
def intervention(task: ScoringTask) -> list[Score]:
    """Accuracy of picking the unit's own effect on the next token."""
    resources = task.resources
    if resources.effects is None:
        raise unscorable_without(
            "the subject, and a unit that can be steered: a neuron or a latent"
        )
    if task.chat is None and (not task.predicts or resources.predict is None):
        raise Unscorable("needs a judge, or a predicate that can be read on single tokens")
    trials = _draw_trials(cut_windows(task.sample, task.text), task.seed)
    effects = resources.effects([t.contexts for t in trials], [t.positions for t in trials])
    options = [trial[:OPTIONS] for trial in effects]  # the target's effect first
    solved = _by_chat(task, options) if task.chat is not None else _by_predicate(task, options)
    document = task.sample.unit[[int(trial.contexts[0]) for trial in trials]]
    value = accuracy(solved, document, task.seed, task.sample.resampling.interval)
    return [mixed_text_score("intervention", task, value, Floors(chance=1 / OPTIONS))]


def _draw_trials(windows: Windows, seed: int) -> list[_Trial]:
    """Trials at the strongest token of active windows."""
    rng = np.random.default_rng([seed, 5])
    active = by_quantile(windows, rng, TRIALS * PLACES)
    if len(active) < PLACES or windows.true.threshold <= 0:
        raise Unscorable(f"{len(active)} active windows; needs {PLACES}")
    order = rng.permutation(active)
    trials = []
    for number in range(TRIALS):
        # windows in turn; with fewer than 36, some are in several trials
        group = order[(PLACES * number + np.arange(PLACES)) % len(order)]
        sizes = [windows.tokens_at(int(w), windows.true.size) for w in group]
        peaks = np.array([size.argmax() for size in sizes])
        trials.append(_Trial(windows.context[group], windows.start[group] + peaks))
    return trials


def _by_chat(
    task: ScoringTask, options: Sequence[Sequence[TokenEffect]]
) -> Float[np.ndarray, " trials"]:
    assert task.chat is not None
    vocabulary = task.text.vocabulary
    answers = answer_positions(TRIALS, OPTIONS, task.seed)
    puzzles = []
    for effects, answer in zip(options, answers, strict=True):
        promoted = [[vocabulary[token] for token in effect.promoted] for effect in effects]
        own, *decoys = (json.dumps(tokens, ensure_ascii=False) for tokens in promoted)
        puzzles.append(puzzle_text(own, decoys, int(answer)))
    sentence = task.sentence or "(none)"
    return ask_puzzles(task.chat, "intervention", puzzles, answers, OPTIONS, explanation=sentence)


def _by_predicate(
    task: ScoringTask, options: Sequence[Sequence[TokenEffect]]
) -> Float[np.ndarray, " trials"]:
    grades = [[_agreement(task, effect) for effect in effects] for effects in options]
    return solved_by_grade(np.array(grades))


def _agreement(task: ScoringTask, effect: TokenEffect) -> float:
    """Mean prediction on promoted minus suppressed tokens, each read after the commonest token."""
    assert task.resources.predict is not None
    tokens = np.array([*effect.promoted, *effect.suppressed], dtype=np.int64)
    neutral = np.full(len(tokens), np.bincount(task.text.tokens.ravel()).argmax())
    pairs = np.stack([neutral, tokens], axis=1)
    predicted = task.resources.predict(pairs, np.full(len(tokens), 2))[:, 1]
    promoted = predicted[: len(effect.promoted)]
    suppressed = predicted[len(effect.promoted) :]
    if not len(promoted) or not len(suppressed):
        return 0.0
    return float(promoted.mean()) - float(suppressed.mean())
