"""Exemplars of a target as token maps, with what its explanation says about each.

1. The exemplars are those that the explainer was shown, or else the strongest contexts that were
   collected. Predictions need the context's tokens: those that the run collected.
2. A token is *named* where a concept of the headline holds.
3. An exemplar of a side that is explained is *covered* if the formula predicts that side at its
   strongest token. What is not covered is counted, and its strongest tokens are listed.
4. The explained side comes first; of a target of both sides that of the first concept, which has
   the most evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NotRequired, TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.errors import HubelError
from ...tools.subject.address import Unit
from .token_maps import (
    CollectedData,
    TokenMap,
    activations_of,
    has_peak,
    map_of_context,
    token_map,
)

if TYPE_CHECKING:
    from ...tools.dissection import Predicate

Sign = Literal["+", "-"]
SIDES: tuple[Sign, ...] = ("+", "-")
STRONGEST = 10
"""Contexts of a side where the run has no exemplars."""


class ExemplarMap(TokenMap):
    """A token map with what the explanation says about it; without the keys, nothing is known."""

    named: NotRequired[list[int]]
    """Positions at which a concept of the headline holds."""
    covered: NotRequired[bool]
    """Whether the formula predicts the side at the strongest token; only of an explained side."""


class Misses(TypedDict):
    """How many exemplars of a side the formula does not cover, and their strongest tokens."""

    side: Sign
    missed: int
    of: int
    tokens: list[str]


class ExemplarsAnswer(TypedDict):
    """The exemplars of a target by side. `sides` is the order in which they are shown."""

    sides: list[Sign]
    exemplars: dict[Sign, list[ExemplarMap]]
    misses: list[Misses]


class _Prediction(NamedTuple):
    """What a formula says about one context. Activations are raw: negative on a negative side."""

    activation: Float[np.ndarray, " token"]
    over_rest: Float[np.ndarray, " token"]
    named: Bool[np.ndarray, " token"]


def exemplars(
    unit: Unit,
    printed: str | None,
    observation: Mapping[str, Any],
    data: CollectedData | None,
) -> ExemplarsAnswer:
    """Exemplars of both sides, marked by what a predicate says.

    Args:
        printed: the predicate, as the log prints it.
    """
    predicate = _parsed(printed)
    maps: dict[Sign, list[ExemplarMap]] = {"+": [], "-": []}
    listed: dict[Sign, list[Mapping[str, Any]]] = {
        side: _whole_exemplars(observation, side) for side in SIDES
    }
    predictions = _predict_logged([*listed["+"], *listed["-"]], unit, predicate, data)
    for side, whole in listed.items():
        maps[side] = [_exemplar(e, unit, side, predictions.get(e.get("context"))) for e in whole]
    if not any(maps.values()) and data is not None and data.lexicon is not None:
        raw = activations_of(data.explore, unit)
        if raw is not None and unit.side != "-":
            maps["+"] = _strongest(raw, unit, "+", predicate, data)
        if raw is not None and unit.side != "+" and not unit.is_one_sided:
            maps["-"] = _strongest(raw, unit, "-", predicate, data)
    sides = _order(unit, predicate, maps)
    misses = [missed for side in sides if (missed := _misses(side, maps[side]))]
    return ExemplarsAnswer(sides=sides, exemplars=maps, misses=misses)


def _parsed(printed: str | None) -> Predicate | None:
    from ...tools.dissection import Predicate

    try:
        return Predicate.parse(printed) if printed else None
    except (HubelError, ValueError, RecursionError):
        return None


# ---------------------------------------------------------------- 1. and 2. maps


def _whole_exemplars(observation: Mapping[str, Any], side: Sign) -> list[Mapping[str, Any]]:
    """The logged exemplars of a side that have tokens, and an activation for each."""
    listed = (observation.get(f"exemplars{side}") or {}).get("exemplars") or ()
    return [
        e for e in listed if e.get("tokens") and len(e["tokens"]) == len(e.get("activations") or ())
    ]


def _predict_logged(
    listed: Sequence[Mapping[str, Any]],
    unit: Unit,
    predicate: Predicate | None,
    data: CollectedData | None,
) -> dict[Any, _Prediction]:
    """Predictions by the number of the context, of those logged exemplars that were collected."""
    if data is None:
        return {}
    contexts = [exemplar.get("context") for exemplar in listed]
    wanted = [context for context in contexts if type(context) is int]
    rows = np.flatnonzero(np.isin(data.explore.context, wanted))
    predictions = _predict(predicate, data, rows, unit)
    return dict(zip(data.explore.context[rows].tolist(), predictions, strict=False))


def _exemplar(
    exemplar: Mapping[str, Any], unit: Unit, side: Sign, prediction: _Prediction | None
) -> ExemplarMap:
    """A logged exemplar, with a prediction if its context was collected."""
    context, values = exemplar.get("context"), exemplar["activations"]
    shown = token_map(
        exemplar["tokens"],
        values,
        split="explore",
        predicted=None if prediction is None else prediction.activation[: len(values)],
        peak=exemplar["peak"] if has_peak(exemplar) else None,
        source="" if context is None else f"explore, context {context}",
    )
    return _marked(shown, prediction, unit, side)


def _strongest(
    raw: Float[np.ndarray, "context seq"],
    unit: Unit,
    side: Sign,
    predicate: Predicate | None,
    data: CollectedData,
) -> list[ExemplarMap]:
    """The contexts of different documents with the largest value of a sign, strongest first."""
    explore, sign = data.explore, 1 if side == "+" else -1
    peaks = np.where(explore.mask, sign * raw, -np.inf).max(axis=1)
    by_document: dict[int, int] = {}
    for context in np.argsort(-peaks, kind="stable"):
        by_document.setdefault(int(explore.document[context]), int(context))
        if len(by_document) == STRONGEST:
            break
    rows = np.array([context for context in by_document.values() if peaks[context] > 0], dtype=int)
    predictions = _predict(predicate, data, rows, unit) or [None] * len(rows)
    maps = []
    for context, prediction in zip(rows, predictions, strict=True):
        activation = None if prediction is None else prediction.activation
        shown = map_of_context(explore, context, raw[context], data.lexicon, "explore", activation)
        maps.append(_marked(shown, prediction, unit, side))
    return maps


def _predict(
    predicate: Predicate | None,
    data: CollectedData,
    rows: Int[np.ndarray, " context"],
    unit: Unit,
) -> list[_Prediction]:
    """What a formula says about collected contexts; empty if it cannot be run with what is kept.

    A formula of the negative side predicts how strongly the unit fires there, as a positive number.
    Maps show raw activations, so that is negated.
    """
    from ...tools.dissection import TextView

    if predicate is None or data.lexicon is None or not len(rows):
        return []
    # The words of all of explore were tagged when the run ended; a part of it would be tagged here.
    text = TextView(data.explore.tokens, data.explore.length, data.lexicon).take(rows)
    try:
        signal = predicate.predict_text(text)
        named = np.zeros(signal.shape, dtype=bool)
        for term in predicate.headline().terms:
            named |= term.concept.mask(text)
    except (HubelError, KeyError, IndexError, ValueError):
        return []
    activation = -signal if unit.side == "-" else signal
    return [
        _Prediction(*parts)
        for parts in zip(activation, signal - predicate.rest, named, strict=True)
    ]


# ---------------------------------------------------------------- 3. what is covered


def _marked(shown: TokenMap, prediction: _Prediction | None, unit: Unit, side: Sign) -> ExemplarMap:
    """The map with what is known of it."""
    marked = ExemplarMap(**shown)
    if prediction is None:
        return marked
    named = prediction.named[: len(shown["tokens"])]
    marked["named"] = np.flatnonzero(named).tolist()
    if unit.side in ("both", side):
        # A one-sided formula predicts its own side as a positive number.
        sign = -1 if unit.side == "both" and side == "-" else 1
        marked["covered"] = bool(sign * prediction.over_rest[shown["peak"]] > 0)
    return marked


def _misses(side: Sign, maps: Sequence[ExemplarMap]) -> Misses | None:
    """What is not covered of a side; None if it is not known of any exemplar."""
    known = [shown for shown in maps if "covered" in shown]
    missed = [shown for shown in known if not shown["covered"]]
    if not known:
        return None
    tokens = dict.fromkeys(shown["tokens"][shown["peak"]] for shown in missed)
    return Misses(side=side, missed=len(missed), of=len(known), tokens=list(tokens))


# ---------------------------------------------------------------- 4. the explained side first


def _order(
    unit: Unit, predicate: Predicate | None, maps: Mapping[Sign, Sequence[ExemplarMap]]
) -> list[Sign]:
    """The sides, the explained one first."""
    if unit.side != "both":
        negative_first = unit.side == "-"
    elif predicate is not None and (predicate.terms or predicate.listed):
        negative_first = (*predicate.terms, *predicate.listed)[0].weight < 0
    else:
        negative_first = _peak(maps["-"]) > _peak(maps["+"])
    return ["-", "+"] if negative_first else ["+", "-"]


def _peak(maps: Sequence[ExemplarMap]) -> float:
    """The largest absolute activation at a strongest token; 0 without exemplars."""
    return max((abs(shown["values"][shown["peak"]] or 0.0) for shown in maps), default=0.0)
