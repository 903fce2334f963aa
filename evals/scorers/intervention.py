"""Intervention: does the explanation say what the unit does to the next token?

Gur-Arieh et al. 2025, "Enhancing automated interpretability with output-centric feature
descriptions" (arXiv 2501.08319), the output-based test; Huang et al. 2023 (arXiv 2309.10312) on why
predicting activations is not enough.

1. A trial is three places where the unit is active. There the unit is ablated and steered to its
   own strength, and so are two decoys, other units of the layer (`resources.effects`): the tokens whose
   log-probability rises and falls most from the one to the other are what each does to the output.
2. The judge is shown the three lists of promoted tokens and picks the one that fits the
   explanation. The predicate picks the list on which it predicts most, promoted less suppressed
   tokens: its claim read as "says what it fires on".
3. Score: accuracy over 12 trials, chance 1/3 (`choosing` deals the places).

A low score does not make an explanation of the input side wrong: many units fire on one thing and
write another. It says that the explanation must not be read as one of what the unit does.

Needs `resources.effects`, the subject. Cost with a judge: 3 calls, about 150 prompt tokens a trial; 216
short rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..judge.protocol import Unscorable
from ..judge.puzzles import answer_positions, ask_puzzles, puzzle_text, solved_by_grade
from ..score import Floors, Score
from .classification import accuracy
from .decisions import one_line
from .registry import ScoringTask, scorer
from .resources import TokenEffect, unscorable_without
from .windows import Windows, by_quantile, cut_windows

TRIALS, PLACES, OPTIONS = 12, 3, 3


@scorer("intervention")
def intervention(task: ScoringTask) -> list[Score]:
    """Accuracy of picking the unit's own effect on the next token."""
    if task.resources.effects is None:
        raise unscorable_without("the subject, and a unit that can be steered: a neuron")
    if task.chat is None and (not task.predicts or task.resources.predict is None):
        raise Unscorable("needs a judge, or a predicate that can be read on single tokens")
    windows = cut_windows(task.sample, task.text)
    trials = _places(windows, task.seed)
    effects = task.resources.effects([t[0] for t in trials], [t[1] for t in trials])
    hits = _by_chat(task, effects) if task.chat is not None else _by_predicate(task, effects)
    document = task.sample.document[[int(contexts[0]) for contexts, _ in trials]]
    found = accuracy(hits, document, task.seed)
    return [Score("intervention", task.split, "top_and_random", *found, Floors(chance=1 / OPTIONS))]


def _places(windows: Windows, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Contexts and positions of each trial: the strongest token of active windows."""
    rng = np.random.default_rng([seed, 5])
    active = by_quantile(windows, rng, TRIALS * PLACES)
    if len(active) < PLACES or windows.true.threshold <= 0:
        raise Unscorable(f"{len(active)} active windows; needs {PLACES}")
    order = rng.permutation(active)
    picked = [order[(PLACES * t + np.arange(PLACES)) % len(order)] for t in range(TRIALS)]
    peak = {
        int(w): int(windows.start[w] + windows.tokens_at(int(w), windows.true.size).argmax())
        for w in active
    }
    return [(windows.context[group], np.array([peak[int(w)] for w in group])) for group in picked]


def _by_chat(
    task: ScoringTask, effects: Sequence[Sequence[TokenEffect]]
) -> Float[np.ndarray, " trials"]:
    assert task.chat is not None
    places = answer_positions(TRIALS, OPTIONS, task.seed)
    listed = [[_listed(task, effect) for effect in trial[:OPTIONS]] for trial in effects]
    puzzles = [
        puzzle_text(own[0], own[1:], int(place)) for own, place in zip(listed, places, strict=True)
    ]
    return ask_puzzles(
        task.chat,
        "intervention",
        puzzles,
        places,
        OPTIONS,
        explanation=one_line(task.explanation) or "(none)",
    )


def _listed(task: ScoringTask, effect: TokenEffect) -> str:
    return json.dumps(
        [task.text.vocabulary[token] for token in effect.promoted], ensure_ascii=False
    )


def _by_predicate(
    task: ScoringTask, effects: Sequence[Sequence[TokenEffect]]
) -> Float[np.ndarray, " trials"]:
    return solved_by_grade(
        np.array([[_agreement(task, effect) for effect in trial[:OPTIONS]] for trial in effects])
    )


def _agreement(task: ScoringTask, effect: TokenEffect) -> float:
    """Mean prediction on promoted less suppressed tokens, each read behind the same neutral token."""
    assert task.resources.predict is not None
    tokens = np.array([*effect.promoted, *effect.suppressed], dtype=np.int64)
    before = np.full(len(tokens), np.bincount(task.text.tokens.ravel()).argmax())
    predicted = task.resources.predict(np.stack([before, tokens], axis=1), np.full(len(tokens), 2))[
        :, 1
    ]
    ups = predicted[: len(effect.promoted)]
    downs = predicted[len(effect.promoted) :]
    return float(ups.mean()) - float(downs.mean()) if len(ups) and len(downs) else 0.0
