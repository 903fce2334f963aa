"""The experiments of one move of a language model, run together: all predictions first, then one call, then all
comparisons. A text that the subject cannot read makes its own experiment void and no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..tools.subject.address import Unit
from .case import Experiment, Move
from .experimenter.showing import strongest_tokens
from .predictions import VOID, Reading, Thresholds, adjudicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .room import Room

MOST_TEXTS = 200
"""Texts of one call of the instrument, which takes 256."""


def run_together(room: Room, target: str, experiments: Sequence[Experiment]) -> None:
    """Write the predictions, read all texts, write the outcomes."""
    for planned in experiments:
        prediction = Move(experiments=(planned,)).to_json()["experiments"][0]
        room.log.write("prediction", prediction | {"call": planned.call}, target=target, id=planned.id)
    seen = _read(room, target, list(dict.fromkeys(t for e in experiments for t in _texts(e))))
    activations = room.explore_activations(target) if experiments else None
    for planned in experiments:
        found = [seen[text] for text in _texts(planned)]
        faulty = next((text for text in found if isinstance(text, str)), None)
        if faulty is not None or activations is None:
            outcome = VOID | {"seen": faulty or ""}
        else:
            thresholds = Thresholds.of(activations, planned.side)
            outcome = adjudicate(planned, [_reading(text) for text in found], thresholds)
            outcome = outcome | {"seen": _shown(found[0])}
        identity = {"experiment": planned.id, "hypothesis": planned.hypothesis}
        room.log.write("outcome", identity | outcome, target=target, id=planned.id)


def _texts(planned: Experiment) -> list[str]:
    return planned.call["arguments"]["texts"]


def _read(room: Room, target: str, texts: list[str]) -> dict[str, Any]:
    """Text to what the instrument says of it, or to what is wrong with it."""
    found: dict[str, Any] = {}
    for first in range(0, len(texts), MOST_TEXTS):
        some = texts[first : first + MOST_TEXTS]
        found |= _read_some(room, target, some)
    return found


def _read_some(room: Room, target: str, texts: list[str]) -> dict[str, Any]:
    unit = str(Unit.parse(target).unsided)
    answer = room.consult(target, "activations.on_text", {"texts": texts, "units": [unit]})
    if not answer["error"]:
        rows = answer["result"]["texts"]
        return {text: row | {"values": row["activations"][unit]} for text, row in zip(texts, rows, strict=True)}
    if len(texts) == 1:
        return {texts[0]: answer["text"]}
    return {text: what for one in texts for text, what in _read_some(room, target, [one]).items()}


def _reading(text: Mapping[str, Any]) -> Reading:
    return Reading([tuple(o) for o in text["offsets"]], text["values"])


def _shown(text: Mapping[str, Any]) -> str:
    return strongest_tokens(text["tokens"], text["values"])
