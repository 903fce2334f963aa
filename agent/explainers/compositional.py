"""Network dissection with compositional explanations, made for text: the mind that needs no key and
no network.

1. Search explore for weighted formulas over the concept library (`tools.dissection`): several
   rivals, best first.
2. For each of the best two, cross its strongest trigger with a left context from another document,
   and predict: this fires; the same context with a token that no concept names fires less, and is
   silent.
3. Hand everything to select. There is nothing to revise: the search has seen all of explore.

It is the floor that a language model has to beat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .protocol import Experiment, ExploreData, Hypothesis, InvestigationView, Move, Passage

if TYPE_CHECKING:
    from ...tools.dissection import Predicate
    from ..runlog.config import RunConfig

TESTED = 2
"""Hypotheses that are put to experiments; the rest are rivals on select only."""
LEFT, CARRIED = 12, 2
"""Tokens of another document before the trigger, and tokens that the trigger brings from its own."""
TRIES = 12
"""Crossed texts that are made; the one for which the formula itself predicts most is used."""


class Compositional:
    """The formula search, as an explainer."""

    name = "compositional"
    version = "1"
    revises = False
    converses = False
    moves_a_round = 4

    def move(self, case: InvestigationView) -> Move:
        """All hypotheses and experiments at once."""
        from ...tools.dissection import search_formulas

        if case.explore is None:
            return Move(cannot_explain="the activations on explore are not at hand")
        data = case.explore()
        found = search_formulas(
            data.tokens,
            data.length,
            data.document,
            data.signal,
            data.mask,
            data.lexicon,
            cache=data.cache,
        )
        found = [c for c in found if c.predicate.terms]
        if not found:
            return Move(cannot_explain="no concept of the library predicts this target on explore")
        hypotheses = tuple(
            Hypothesis(f"h{i}", c.predicate.sentence(data.lexicon), c.predicate.to_text(), c.origin)
            for i, c in enumerate(found, 1)
        )
        rng = np.random.default_rng(case.seed)
        experiments: list[Experiment] = []
        for hypothesis, candidate in list(zip(hypotheses, found, strict=True))[:TESTED]:
            for side in ("+", "-") if case.side == "both" else (case.side,):
                # A target of one side has its own signal predicted; one of both sides has signed
                # predictions.
                sign = -1.0 if (case.side, side) == ("both", "-") else 1.0
                planned = plan(data, candidate.predicate, sign, rng)
                experiments += [
                    Experiment(f"e{i}", hypothesis.id, side=side, **fields)
                    for i, fields in enumerate(planned, len(experiments) + 1)
                ]
        return Move(hypotheses, tuple(experiments))


def plan(
    data: ExploreData, predicate: Predicate, sign: float, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Three experiments on one side of a formula, or none where it predicts nothing there.

    Args:
        sign: -1 for the side on which the formula's prediction is negative.

    Returns:
        Fields of `Experiment`: the trigger fires; it fires more than the other token; the other token is silent.
    """
    crossed = _cross(data, predicate, sign, rng)
    if crossed is None:
        return []
    trigger, other = crossed
    return [
        {
            "passage": trigger,
            "relation": "fires",
            "reason": "the trigger in another document's context",
        },
        {
            "passage": trigger,
            "relation": "greater",
            "other": other,
            "reason": "same context, another token",
        },
        {"passage": other, "relation": "silent", "reason": "the context without the trigger"},
    ]


def _cross(
    data: ExploreData, predicate: Predicate, sign: float, rng: np.random.Generator
) -> tuple[Passage, Passage] | None:
    """A trigger behind another document's left context, and that context with a token of which little is predicted."""
    predicted = sign * predicate.predict(data.tokens, data.lexicon, data.length)
    usable = data.mask & (np.arange(data.mask.shape[1]) >= LEFT)
    best = np.where(usable, predicted, -np.inf)
    if best.max() <= np.median(predicted[data.mask]):
        return None
    triggers = np.argwhere(best >= best.max() - 1e-6)
    rows = []
    for _ in range(TRIES):
        c, p = triggers[rng.integers(len(triggers))]
        others = np.flatnonzero((data.document != data.document[c]) & (data.length > LEFT))
        if not len(others):
            return None
        left = data.tokens[others[rng.integers(len(others))], :LEFT]
        rows.append(np.concatenate([left, data.tokens[c, p - CARRIED : p + 1]]))
    texts = np.array(rows)
    length = np.full(len(texts), texts.shape[1])
    at_end = sign * predicate.predict(texts, data.lexicon, length)[:, -1]
    row = texts[int(at_end.argmax())]
    return _passage(row, data), _passage(_neutral(row, data, predicate, sign, rng), data)


def _neutral(
    row: np.ndarray, data: ExploreData, predicate: Predicate, sign: float, rng: np.random.Generator
) -> np.ndarray:
    """The row with its last token changed to one of explore's for which the formula predicts least activity."""
    drawn = rng.choice(data.tokens[data.mask], TRIES * 4)
    rows = np.repeat(row[None], len(drawn), axis=0)
    rows[:, -1] = drawn
    at_end = sign * predicate.predict(rows, data.lexicon, np.full(len(rows), rows.shape[1]))[:, -1]
    return rows[int(np.argmin(at_end))]


def _passage(row: np.ndarray, data: ExploreData) -> Passage:
    """The text of some tokens, with the last one as its span."""
    strings = data.lexicon.strings
    before = "".join(strings[int(t)] for t in row[:-1])
    last = strings[int(row[-1])]
    start = len(before) + len(last) - len(last.lstrip())
    return Passage(before + last, (min(start, len(before + last) - 1), len(before + last)))


def make(config: RunConfig) -> Compositional:
    """There is nothing to set."""
    del config
    return Compositional()
