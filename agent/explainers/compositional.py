"""Network dissection with compositional explanations, for text. Needs no key and no network.

1. Search explore for weighted formulas over the concept library (`tools.dissection`): several
   rivals, best first.
2. For each of the best two, cross its strongest trigger with a left context from another document,
   and predict: this fires; the same context with a token that no concept names fires less, and is
   silent.
3. Leave the choice to select. There is nothing to revise, because the search has seen all of
   explore.

A language model has to beat it.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tools.dissection import search_formulas
from ...tools.dissection.greedy import is_concept
from ...tools.dissection.search import SEARCH_SEED
from ...tools.subject.token_text import join_with_offsets
from .protocol import Experiment, Hypothesis, InvestigationView, Move, Passage, TargetData

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...tools.dissection import Predicate
    from ...tools.dissection.concepts import Concept
    from ..runlog.config import RunConfig

TESTED = 2
"""Hypotheses that get experiments; the others are rivals on select only."""
LEFT, CARRIED = 12, 2
"""Tokens of another document before the trigger, and tokens that the trigger brings with it."""
TRIES = 12
"""Crossed texts that are made; the one for which the formula predicts most is used."""


class Compositional:
    """The formula search, as an explainer.

    Args:
        seed: of the search's folds.
        allowed: which concepts it may use.
    """

    name = "compositional"
    version = "2"
    revises = False
    converses = False
    moves_a_round = 4

    def __init__(
        self, seed: int = SEARCH_SEED, allowed: Callable[[Concept], bool] = is_concept
    ) -> None:
        self._seed, self._allowed = seed, allowed

    def move(self, view: InvestigationView) -> Move:
        """All hypotheses and experiments at once."""
        data = view.explore()
        # 1. Search for rival formulas, one target at a time: side by side they would take as long
        # together, since they are interpreted, and the first result would come with the last one.
        with data.cache.setdefault("turn to search", Lock()):
            candidates = search_formulas(
                data.tokens,
                data.length,
                data.document,
                data.signal,
                data.mask,
                data.lexicon,
                seed=self._seed,
                cache=data.cache,
                allowed=self._allowed,
            )
        predicates = {}
        hypotheses = []
        for candidate in candidates:
            predicate, id = candidate.predicate, f"h{len(hypotheses) + 1}"
            if predicate.terms or predicate.listed:
                predicates[id] = predicate
                hypotheses.append(
                    Hypothesis(
                        id,
                        predicate.sentence(view.unit.stated_side),
                        predicate.to_text(),
                        candidate.origin,
                    )
                )
        if not hypotheses:
            return Move(cannot_explain="no concept of the library predicts this target on explore")
        # 2. Predict for crossed contexts.
        rng = np.random.default_rng(view.seed)
        experiments: list[Experiment] = []
        side = view.unit.side
        for hypothesis in hypotheses[:TESTED]:
            for tested_side in ("+", "-") if side == "both" else (side,):
                # The signal of a one-sided target is that side's own, and so is its prediction.
                # The prediction for a target of both sides is signed.
                sign = -1.0 if side == "both" and tested_side == "-" else 1.0
                planned = plan(data, predicates[hypothesis.id], sign, rng)
                experiments += [
                    Experiment(f"e{i}", hypothesis.id, side=tested_side, **fields)
                    for i, fields in enumerate(planned, len(experiments) + 1)
                ]
        return Move(tuple(hypotheses), tuple(experiments))


def plan(
    data: TargetData, predicate: Predicate, sign: float, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Three experiments on one side of a formula, or none if it predicts nothing there.

    Args:
        sign: -1 for the side on which the formula's prediction is negative.

    Returns:
        Fields of `Experiment`: the trigger fires; it fires more than the other token; the other
        token is silent.
    """
    crossed = _cross(data, predicate, sign, rng)
    if crossed is None:
        return []
    trigger, neutral = crossed
    return [
        {
            "passage": trigger,
            "relation": "fires",
            "reason": "the trigger in another document's context",
        },
        {
            "passage": trigger,
            "relation": "greater",
            "other": neutral,
            "reason": "same context, another token",
        },
        {"passage": neutral, "relation": "silent", "reason": "the context without the trigger"},
    ]


def _cross(
    data: TargetData, predicate: Predicate, sign: float, rng: np.random.Generator
) -> tuple[Passage, Passage] | None:
    """A trigger after another document's left context, and that context with a neutral token."""
    predicted = sign * predicate.predict(data.tokens, data.lexicon, data.length)
    usable = data.mask & (np.arange(data.mask.shape[1]) >= LEFT)
    strength = np.where(usable, predicted, -np.inf)
    if strength.max() <= np.median(predicted[data.mask]):
        return None
    triggers = np.argwhere(strength >= strength.max() - 1e-6)  # all tokens that tie for the maximum
    rows = []
    for _ in range(TRIES):
        context, position = triggers[rng.integers(len(triggers))]
        is_other = data.document != data.document[context]
        others = np.flatnonzero(is_other & (data.length > LEFT))
        if not len(others):
            return None
        left = data.tokens[others[rng.integers(len(others))], :LEFT]
        trigger = data.tokens[context, position - CARRIED : position + 1]
        rows.append(np.concatenate([left, trigger]))
    crossed = np.array(rows)
    row = crossed[int(_predicted_at_end(crossed, data, predicate, sign).argmax())]
    return _passage(row, data), _passage(_neutral(row, data, predicate, sign, rng), data)


def _neutral(
    row: np.ndarray, data: TargetData, predicate: Predicate, sign: float, rng: np.random.Generator
) -> np.ndarray:
    """The row with its last token replaced by one for which the formula predicts least."""
    drawn = rng.choice(data.tokens[data.mask], TRIES * 4)
    rows = np.repeat(row[None], len(drawn), axis=0)
    rows[:, -1] = drawn
    return rows[int(_predicted_at_end(rows, data, predicate, sign).argmin())]


def _predicted_at_end(
    rows: np.ndarray, data: TargetData, predicate: Predicate, sign: float
) -> np.ndarray:
    lengths = np.full(len(rows), rows.shape[1])
    return sign * predicate.predict(rows, data.lexicon, lengths)[:, -1]


def _passage(row: np.ndarray, data: TargetData) -> Passage:
    """The text of some tokens, with the last one as its span."""
    strings = data.lexicon.strings
    text, offsets = join_with_offsets([strings[int(token)] for token in row])
    start, end = offsets[-1]
    start += len(text[start:end]) - len(text[start:end].lstrip())  # without the leading space
    return Passage(text, (min(start, len(text) - 1), len(text)))


def make(config: RunConfig) -> Compositional:
    """With the run's seed."""
    return Compositional(config.seed)
