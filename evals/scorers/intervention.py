"""Intervention: does the explanation say what the unit does to the next token?

Gur-Arieh et al. 2025, "Enhancing automated interpretability with output-centric feature
descriptions" (arXiv 2501.08319), the output-based test; Huang et al. 2023 (arXiv 2309.10312) on why
predicting activations is not enough.

1. A trial is three places where the unit is active. There the unit is ablated and steered to its
   own strength, and so are two decoys, other units of the layer (`lab.effects`): the tokens whose
   log-probability rises and falls most from the one to the other are what each does to the output.
2. The judge is shown the three lists of promoted tokens and picks the one that fits the
   explanation. The predicate picks the list on which it predicts most, promoted less suppressed
   tokens: its claim read as "says what it fires on".
3. Score: accuracy over 12 trials, chance 1/3 (`choosing` deals the places).

A low score does not make an explanation of the input side wrong: many units fire on one thing and
write another. It says that the explanation must not be read as one of what the unit does.

Needs `lab.effects`, the subject. Cost with a judge: 3 calls, about 150 prompt tokens a trial; 216
short rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..judge.protocol import Unscorable
from ..judge.puzzles import arranged, ask_puzzles, hits_of, right_places
from ..score import Floors, Score
from .classification import accuracy
from .decisions import one_line
from .registry import ScoringTask, scorer
from .subject_access import Effect, missing
from .windows import Windows, by_quantile, cut

TRIALS, PLACES, OPTIONS = 12, 3, 3


@scorer("intervention")
def intervention(case: ScoringTask) -> list[Score]:
    """Accuracy of picking the unit's own effect on the next token."""
    if case.lab.effects is None:
        raise missing("the subject, and a unit that can be steered: a neuron")
    if case.chat is None and (not case.predicts or case.lab.predict is None):
        raise Unscorable("needs a judge, or a predicate that can be read on single tokens")
    windows = cut(case.sample, case.text)
    trials = _places(windows, case.seed)
    effects = case.lab.effects([t[0] for t in trials], [t[1] for t in trials])
    hits = _by_chat(case, effects) if case.chat is not None else _by_predicate(case, effects)
    document = case.sample.document[[int(contexts[0]) for contexts, _ in trials]]
    found = accuracy(hits, document, case.seed)
    return [Score("intervention", case.split, "top_and_random", *found, Floors(chance=1 / OPTIONS))]


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
    case: ScoringTask, effects: Sequence[Sequence[Effect]]
) -> Float[np.ndarray, " trials"]:
    assert case.chat is not None
    places = right_places(TRIALS, OPTIONS, case.seed)
    listed = [[_listed(case, effect) for effect in trial[:OPTIONS]] for trial in effects]
    puzzles = [
        arranged(own[0], own[1:], int(place)) for own, place in zip(listed, places, strict=True)
    ]
    return ask_puzzles(
        case.chat,
        "intervention",
        puzzles,
        places,
        OPTIONS,
        explanation=one_line(case.explanation) or "(none)",
    )


def _listed(case: ScoringTask, effect: Effect) -> str:
    return json.dumps(
        [case.text.vocabulary[token] for token in effect.promoted], ensure_ascii=False
    )


def _by_predicate(
    case: ScoringTask, effects: Sequence[Sequence[Effect]]
) -> Float[np.ndarray, " trials"]:
    return hits_of(
        np.array([[_agreement(case, effect) for effect in trial[:OPTIONS]] for trial in effects])
    )


def _agreement(case: ScoringTask, effect: Effect) -> float:
    """Mean prediction on promoted less suppressed tokens, each read behind the same neutral token."""
    assert case.lab.predict is not None
    tokens = np.array([*effect.promoted, *effect.suppressed], dtype=np.int64)
    before = np.full(len(tokens), np.bincount(case.text.tokens.ravel()).argmax())
    predicted = case.lab.predict(np.stack([before, tokens], axis=1), np.full(len(tokens), 2))[:, 1]
    ups = predicted[: len(effect.promoted)]
    downs = predicted[len(effect.promoted) :]
    return float(ups.mean()) - float(downs.mean()) if len(ups) and len(downs) else 0.0
